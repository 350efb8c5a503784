"""What is wrong with data, and how bad it is.

`severe` means that the result of a training would mislead, so `inspect` ends with exit code 1:

- More than 0.5% of the validation or test texts are in train after cleaning.
- More than 0.5% of the rows repeat an earlier text of their split with another label.
- A class makes up less than 1% of train, or, of more than 20 classes, less than a fifth of an equal share; or a
  tenth of the classes are absent from validation or test: nothing is measured of them, and accuracy is high anyway.
- More than half of the texts lose words to `max_length`, or more than 5% of the tokens are unknown.

A `warning` usually has a cure and is sometimes intended. A `note` is worth knowing.
"""

from collections.abc import Iterator
from math import inf
from typing import Any

Finding = dict[str, str]

SEVERITIES = ("severe", "warning", "note")

# a warning above the first, severe above the second
CONFLICTING, CUT, UNKNOWN = (0, 0.005), (0.25, 0.5), (0.01, 0.05)
IMBALANCE, MARKUP, EMPTY, TOO_EASY = ((limit, inf) for limit in (10, 0.01, 0.01, 0.995))
LEAKED, RARE_CLASS = 0.005, 0.01  # severe above the first, below the second
RARE_AMONG, ABSENT = 0.2, 0.1  # many classes: severe below this part of an equal share, or with this part absent


def token_findings(facts: dict[str, Any], *, max_length: int, counts: dict[str, Any]) -> Iterator[Finding]:
    """What the token cache shows; `counts` are the `CleaningCounts` by split."""
    splits, train = facts["splits"], facts["splits"]["train"]
    for split, part in splits.items():
        share = part["copies_of_train"] / part["rows"]
        warn, cure = 0.0, "--data.deduplicate true takes them out"
        if counts["deduplicate"]:
            warn, cure = LEAKED, "they differ only in what the tokenizer or the cut drops, e.g. capitals"
        text = f"{part['copies_of_train']:,} of {part['rows']:,} {split} rows ({share:.2%}) are in train too: {cure}."
        yield from _graded(share, (warn, LEAKED), text, below="note" if share else None)
    tagged = "words" in train
    share = 0.0 if tagged else train["cut"] / max(train["texts"], 1)  # sentences are split
    yield from _graded(
        share,
        CUT,
        f"{share:.0%} of the training texts lose words to --data.max_length {max_length}: raise it, or keep their ends "
        "too with --data.truncation head_tail.",
    )
    for split, part in splits.items():
        rate = part.get("unknown_rate") or 0.0
        yield from _graded(
            rate,
            UNKNOWN,
            f"{rate:.1%} of the tokens of {split} are unknown to the tokenizer: give another --data.tokenizer, or "
            "train one on these texts (a larger --data.vocab_size).",
        )
    for split, part in splits.items() if tagged else ():
        absent = [
            repr(name) for name, number in zip(facts["label_names"], part["class_counts"], strict=True) if not number
        ]
        text = f"No word of {split} has the tag {_these(absent)}: it cannot be "
        text += "learned, find some." if split == "train" else "measured."
        yield from _graded(len(absent), (0 if split == "train" else inf, inf), text, below="note" if absent else None)
    # most words are outside of names, and some of several labels are rare by nature
    if facts["label_names"] is not None and not tagged and "problem" not in facts:
        yield from _class_findings(facts["label_names"], {split: splits[split]["class_counts"] for split in splits})


def _class_findings(names: list[str], counts: dict[str, list[int]]) -> Iterator[Finding]:
    train = counts["train"]
    total = max(sum(train), 1)
    least = min(RARE_CLASS, RARE_AMONG / len(names))
    rare = [f"{name!r} ({count:,})" for name, count in zip(names, train, strict=True) if count / total < least]
    yield from _graded(
        len(rare),
        (0, 0),
        f"{_these(rare)} of the {total:,} training texts: less than {least:.2%}. Join such classes, find more of them, "
        "or give --model.class_weights balanced and watch val/f1 instead of accuracy.",
    )
    yield from _graded(
        0 if rare else max(train) / min(train),
        IMBALANCE,
        f"The largest class of train has {max(train):,} texts, the smallest {min(train):,}: watch val/f1 instead of "
        "accuracy, and try --model.class_weights balanced.",
    )
    for split, argument in (("validation", "val_fraction"), ("test", "test_fraction")):
        classes = zip(names, counts[split], train, strict=True)
        absent = [repr(name) for name, here, there in classes if there and not here]
        yield from _graded(
            len(absent),
            (0, ABSENT * len(names) - 1e-9),
            f"No {split} text has the label {_these(absent)}, so its figures cannot be measured: find more, or hold "
            f"out more (--data.{argument}).",
        )


def text_findings(report: dict[str, Any]) -> Iterator[Finding]:
    """What reading the texts shows; `report["baseline"]` may be None."""
    counts = {split: report["counts"][split] for split in report["raw"]}
    rows, conflicting = (sum(part[name] for part in counts.values()) for name in ("read", "repeats_other_label"))
    yield from _graded(
        conflicting / rows,
        CONFLICTING,
        f"{conflicting:,} of {rows:,} rows repeat an earlier text with another label: decide which one is right; "
        "cleaning keeps the first of train.",
    )
    for split, part in report["raw"].items():
        unusable, read = counts[split]["empty"] + counts[split]["incomplete"], counts[split]["read"]
        text = f"{unusable:,} of {read:,} {split} rows have no text or label: check the columns."
        yield from _graded(unusable / max(read, 1), EMPTY, text)
        for name, number in part["markup_left"].items():
            text = f"{number:,} {split} texts hold {name} that cleaning leaves: strip them."
            yield from _graded(number / part["rows"], MARKUP, text)
    if (baseline := report["baseline"]) and "skipped" not in baseline:
        accuracy, majority = baseline["accuracy"], baseline["majority"]
        text = f"A linear model is right on {accuracy:.2%}"
        order = f"no better than always the most frequent label ({majority:.1%}): are the labels in the texts' order?"
        yield from _graded(accuracy <= majority + 2 * baseline["error"], (0, inf), f"{text}, {order}")
        yield from _graded(accuracy, TOO_EASY, f"{text}: do the texts spell out the label?")


def _graded(value: float, limits: tuple[float, float], text: str, below: str | None = None) -> Iterator[Finding]:
    severity = "severe" if value > limits[1] else "warning" if value > limits[0] else below
    if severity:
        yield {"severity": severity, "text": text}


def _these(names: list[str], most: int = 5) -> str:
    return ", ".join(names[:most]) + (f" and {len(names) - most} more" if len(names) > most else "")
