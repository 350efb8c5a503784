"""What is wrong with data, and how bad it is.

`severe` means that the result of a training would mislead, so that `inspect` ends with exit code 1:

- More than 0.5% of the validation or test texts stand in train after cleaning, or more than 5% of them nearly
  do (five words out of six in the same order): a good score may then be memory.
- More than 1% of the labelled rows have a text that also has another label: no model can be right on them,
  and cleaning keeps whichever label came first.
- A class makes up less than 1% of train, where more than 20 classes share it less than a fifth of an equal share,
  or a tenth of the classes are absent from validation or test: their figures mean nothing, and accuracy is high
  without them.
- More than half of the texts lose words to `max_length`.
- More than 5% of the words' tokens are unknown: the tokenizer is not made for these texts.

A `warning` is what usually has a cure and sometimes is meant (imbalance, long texts). A `note` says what
cleaning has done already, or what is worth knowing. Each is one line that names the number and the cure.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

Finding = dict[str, str]

SEVERITIES = ("severe", "warning", "note")

LEAKED, RARE_CLASS = 0.005, 0.01  # severe above the first, below the second
RARE_AMONG, ABSENT = 0.2, 0.1  # of many classes: below this part of an equal share; severe from this part of them on
NEAR_LEAKED, CONFLICTING = (0.005, 0.05), (0, 0.01)  # a warning above the first, severe above the second
CUT, UNKNOWN = (0.25, 0.5), (0.01, 0.05)
IMBALANCE, MARKUP, EMPTY, TOO_EASY, SUSPICIOUS = 10, 0.01, 0.01, 0.995, 0.15  # warnings above


def finding(severity: str, text: str) -> Finding:
    """One line of the verdict."""
    assert severity in SEVERITIES
    return {"severity": severity, "text": text}


def token_findings(facts: dict[str, Any], *, max_length: int, counts: dict[str, Any]) -> Iterator[Finding]:
    """What the token cache shows; `counts` is what cleaning counted (`CleaningCounts`), by split."""
    splits, train = facts["splits"], facts["splits"]["train"]
    for split, part in splits.items():
        if copies := part["copies_of_train"]:
            share = copies / part["rows"]
            severity, cure = "warning", "--data.deduplicate true takes them out of train"
            if counts["deduplicate"]:
                severity, cure = "note", "they differ in what the tokenizer drops, such as capitals, or after the cut"
            yield finding(
                "severe" if share > LEAKED else severity,
                f"{copies:,} of {part['rows']:,} {split} rows ({share:.2%}) stand in train: {cure}.",
            )
    share = train["cut"] / max(train["texts"], 1)
    if share > CUT[0]:
        yield finding(
            _graded(share, CUT),
            f"{share:.0%} of the training texts lose words to --data.max_length {max_length}: raise it, or keep "
            "their ends too with --data.truncation head_tail.",
        )
    for split, part in splits.items():
        rate = part.get("unknown_rate") or 0.0
        if rate > UNKNOWN[0]:
            yield finding(
                _graded(rate, UNKNOWN),
                f"{rate:.1%} of the tokens of {split} are unknown to the tokenizer: give another --data.tokenizer, "
                "or train one on these texts (a larger --data.vocab_size).",
            )
    if facts["label_names"] is not None:
        yield from _class_findings(facts["label_names"], {split: splits[split]["class_counts"] for split in splits})


def _class_findings(names: list[str], counts: dict[str, list[int]]) -> Iterator[Finding]:
    train = counts["train"]
    total = max(sum(train), 1)
    least = min(RARE_CLASS, RARE_AMONG / len(names))
    rare = [f"{name!r} ({count:,})" for name, count in zip(names, train, strict=True) if count / total < least]
    if rare:
        yield finding(
            "severe",
            f"{_these(rare)} of the {total:,} training texts: less than {least:.2%}. Join such classes, find "
            "more of them, or give --model.class_weights balanced and watch val/f1 instead of accuracy.",
        )
    elif max(train) > IMBALANCE * min(train):
        yield finding(
            "warning",
            f"The largest class of train has {max(train):,} texts, the smallest {min(train):,}: watch val/f1 "
            "instead of accuracy, and try --model.class_weights balanced.",
        )
    for split, argument in (("validation", "val_fraction"), ("test", "test_fraction")):
        classes = zip(names, counts[split], train, strict=True)
        absent = [repr(name) for name, here, there in classes if there and not here]
        if absent:
            yield finding(
                "severe" if len(absent) >= ABSENT * len(names) else "warning",
                f"No {split} text has the label {_these(absent)}, so its figures cannot be measured: find more, "
                f"or hold out more (--data.{argument}).",
            )


def text_findings(report: dict[str, Any]) -> Iterator[Finding]:
    """What reading the texts shows; a part of the report that was left out is None."""
    near, conflicts = report["near_duplicates"], report["duplicates"]["conflicts"]
    if conflicts["texts"]:
        share = conflicts["rows"] / report["duplicates"]["rows"]
        yield finding(
            _graded(share, CONFLICTING),
            f"{conflicts['texts']:,} texts ({conflicts['rows']:,} rows, {share:.2%}) occur with different labels: "
            "decide which one is right; cleaning keeps the first of train.",
        )
    for split, number in near["in_train"].items():
        share = number / near["texts"][split]
        yield finding(
            _graded(share, NEAR_LEAKED),
            f"{share:.2%} of the {split} texts ({number:,}) are almost the same as one of train, which cleaning "
            "does not see: a good score on them may be memory.",
        )
    for split, part in report["raw"].items():
        counts = report["counts"][split]
        unusable, read = counts["empty"] + counts["incomplete"], counts["read"]
        if unusable > EMPTY * read:
            yield finding("warning", f"{unusable:,} of {read:,} {split} rows have no text or label: check the columns.")
        for name, number in part["markup_left"].items():
            if number > MARKUP * part["rows"]:
                yield finding("warning", f"{number:,} {split} texts hold {name} that cleaning leaves: strip them.")
    if report["baseline"] and "skipped" not in report["baseline"]:
        yield from _baseline_findings(report["baseline"])


def _baseline_findings(baseline: dict[str, Any]) -> Iterator[Finding]:
    accuracy, majority = baseline["accuracy"], baseline["majority"]
    if accuracy <= majority + 2 * baseline["error"]:
        yield finding(
            "warning",
            f"A linear model is right on {accuracy:.1%}, no better than always the most frequent label "
            f"({majority:.1%}): are the labels in the order of the texts?",
        )
    if accuracy > TOO_EASY:
        yield finding("warning", f"A linear model is right on {accuracy:.2%}: do the texts spell out the label?")
    if baseline["suspicious"] > SUSPICIOUS * baseline["texts"]:
        wrong = f"{baseline['suspicious']:,} of {baseline['texts']:,} labels look wrong to the linear model"
        yield finding("warning", f"{wrong}: read those listed before you trust the labels.")


def _graded(share: float, limits: tuple[float, float]) -> str:
    return "severe" if share > limits[1] else "warning" if share > limits[0] else "note"


def _these(names: list[str], most: int = 5) -> str:
    return ", ".join(names[:most]) + (f" and {len(names) - most} more" if len(names) > most else "")
