"""What is wrong with data, and how bad it is.

`severe` means that training results would be misleading, so `inspect` exits with 1:

- More than 0.5% of the validation or test texts are in train after cleaning.
- More than 0.5% of the rows repeat an earlier text of their split with another label.
- A class makes up less than 1% of train, or, of more than 20 classes, less than a fifth of an equal share; or a
  tenth of the classes are absent from validation or test: they are not measured, and accuracy is high anyway.
- More than half of the texts lose words to `max_length`, or more than 5% of the tokens are unknown.

A `warning` usually has a fix and is sometimes intended. A `note` is worth knowing.
"""

from collections.abc import Iterable, Iterator
from math import inf
from typing import Any

Finding = dict[str, str]
Limits = tuple[float, float, float]  # above them a value is a note, a warning, severe

SEVERITIES = ("severe", "warning", "note")

CONFLICTING, CUT, UNKNOWN = (inf, 0, 0.005), (inf, 0.25, 0.5), (inf, 0.01, 0.05)
IMBALANCE, MARKUP, EMPTY, TOO_EASY = ((inf, limit, inf) for limit in (10, 0.01, 0.01, 0.995))
LEAKED, RARE_CLASS = 0.005, 0.01  # severe above the first and below the second
RARE_AMONG, ABSENT = 0.2, 0.1  # many classes: severe below this part of an equal share, or with this part absent


def token_findings(facts: dict[str, Any], counts: dict[str, Any], **settings: Any) -> Iterator[Finding]:
    """Findings from the token cache; `counts` are the `CleaningCounts` by split, the rest is the data module's."""
    return _graded(_of_tokens(facts, counts["deduplicate"], **settings))


def _of_tokens(
    facts: dict[str, Any], deduplicated: bool, *, max_length: int, truncation: str | None
) -> Iterator[tuple[float, Limits, str]]:
    splits, train, names = facts["splits"], facts["splits"]["train"], facts["label_names"]
    for split, part in splits.items():
        share, warn, cure = part["copies_of_train"] / part["rows"], 0.0, "--data.deduplicate true removes them"
        if deduplicated:
            warn, cure = LEAKED, "they differ only in what the tokenizer or truncation drops, e.g. capitals"
        text = f"{part['copies_of_train']:,} of {part['rows']:,} {split} rows ({share:.2%}) are also in train: {cure}."
        yield share, (0, warn, LEAKED), text
    tagged = "words" in train
    share = 0.0 if tagged else train["cut"] / max(train["texts"], 1)  # sentences are split
    cure = "raise it" + (", or keep their ends too with --data.truncation head_tail" if truncation == "head" else "")
    yield share, CUT, f"{share:.0%} of the training texts lose words to --data.max_length {max_length}: {cure}."
    for split, part in splits.items():
        rate = part.get("unknown_rate") or 0.0
        cure = "give another --data.tokenizer, or train one that knows every text: --data.tokenizer_model bpe"
        yield rate, UNKNOWN, f"{rate:.1%} of the tokens of {split} are unknown to the tokenizer: {cure}."
    if tagged:  # most words are not part of names
        for split, part in splits.items():
            absent = [repr(name) for name, number in zip(names, part["class_counts"], strict=True) if not number]
            what = "learned; find some" if split == "train" else "measured"
            limits = (0, 0 if split == "train" else inf, inf)
            yield len(absent), limits, f"No word of {split} has the tag {_these(absent)}: it cannot be {what}."
    elif names is not None and "problem" not in facts:  # of several labels, some are rare by nature
        yield from _of_classes(names, {split: splits[split]["class_counts"] for split in splits})


def _of_classes(names: list[str], counts: dict[str, list[int]]) -> Iterator[tuple[float, Limits, str]]:
    train = counts["train"]
    total, least = max(sum(train), 1), min(RARE_CLASS, RARE_AMONG / len(names))
    rare = [f"{name!r} ({count:,})" for name, count in zip(names, train, strict=True) if count / total < least]
    cure = "Join such classes, find more of them, or give --model.class_weights balanced and watch val/f1"
    text = f"{_these(rare)} of the {total:,} training texts: less than {least:.2%}. {cure} instead of accuracy."
    yield len(rare), (inf, inf, 0), text
    text = f"The largest class of train has {max(train):,} texts, the smallest {min(train):,}: watch val/f1 instead of "
    text += "accuracy, and try --model.class_weights balanced."
    yield 0 if rare else max(train) / min(train), IMBALANCE, text
    for split, argument in (("validation", "val_fraction"), ("test", "test_fraction")):
        classes = zip(names, counts[split], train, strict=True)
        absent = [repr(name) for name, here, there in classes if there and not here]
        text = f"No {split} text has the label {_these(absent)}, so its figures cannot be measured: find more, or hold "
        yield len(absent), (inf, 0, ABSENT * len(names) - 1e-9), f"{text}out more (--data.{argument})."


def text_findings(report: dict[str, Any]) -> Iterator[Finding]:
    """Findings from reading the texts; `report["baseline"]` may be None."""
    return _graded(_of_texts(report))


def _of_texts(report: dict[str, Any]) -> Iterator[tuple[float, Limits, str]]:
    counts = {split: report["counts"][split] for split in report["raw"]}
    rows, conflicting = (sum(part[name] for part in counts.values()) for name in ("read", "repeats_other_label"))
    cure = "decide which one is right; cleaning keeps the first of train"
    text = f"{conflicting:,} of {rows:,} rows repeat an earlier text with another label: {cure}."
    yield conflicting / rows, CONFLICTING, text
    for split, part in report["raw"].items():
        unusable, read = counts[split]["empty"] + counts[split]["incomplete"], counts[split]["read"]
        text = f"{unusable:,} of {read:,} {split} rows have no text or label: check the columns."
        yield unusable / max(read, 1), EMPTY, text
        for name, number in part["markup_left"].items():
            text = f"{number:,} {split} texts contain {name} that cleaning leaves in: remove them."
            yield number / part["rows"], MARKUP, text
    if (baseline := report["baseline"]) and "skipped" not in baseline:
        accuracy, majority = baseline["accuracy"], baseline["majority"]
        text = f"A linear model is right on {accuracy:.2%}"
        order = f"no better than always the most frequent label ({majority:.1%}): do labels and texts match in order?"
        yield accuracy <= majority + 2 * baseline["error"], (inf, 0, inf), f"{text}, {order}"
        yield accuracy, TOO_EASY, f"{text}: do the texts spell out the label?"


def _graded(graded: Iterable[tuple[float, Limits, str]]) -> Iterator[Finding]:
    for value, (note, warning, severe), text in graded:
        severity = "severe" if value > severe else "warning" if value > warning else "note" if value > note else None
        if severity:
            yield {"severity": severity, "text": text}


def _these(names: list[str], most: int = 5) -> str:
    return ", ".join(names[:most]) + (f" and {len(names) - most} more" if len(names) > most else "")
