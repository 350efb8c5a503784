"""What only the user knows about labels: missing ones, two spellings of a class, several in one."""

import json
import re
from collections import Counter
from collections.abc import Iterable
from itertools import chain, islice

from lightning_nlp.errors import UserError

# labels that count as missing, in any case, unless `missing_labels` names others
MISSING = tuple("nan none null na n/a n.a. <na> #n/a #na ? - -- \u2013 \u2014 \u2212".split())
SHOWN = 10
_WHOLE_NUMBER = re.compile(r"[+-]?\d{1,18}")
_MARKS = re.compile(r"[\s_.,:;!?'\"\u2019()-]+")


def is_missing(label: str | None, words: Iterable[str] | None) -> bool:
    """Whether a label is missing: None, or one of `words` (None: `MISSING`)."""
    return label is None or label.casefold() in (MISSING if words is None else words)


def in_order(labels: Iterable[str]) -> list[str]:
    """The distinct labels in the order of their ids: by number if all are numbers."""
    distinct = {*labels}
    numeric = all(map(_WHOLE_NUMBER.fullmatch, distinct))
    return sorted(distinct, key=lambda label: (int(label) if numeric else 0, label))


def ask_about_minus_one(known: Iterable[str], missing: list[str]) -> None:
    """Raise a UserError if the labels are -1, 0, 1, ...: -1 may be a class, or missing like `missing`."""
    others = {*known} - {"-1"}
    if "-1" in known and others == {*map(str, range(len(others)))}:
        words = json.dumps([-1, *missing], ensure_ascii=False)
        raise UserError(
            f"The label -1 stands beside 0 to {len(others) - 1}: if it is a missing label, give --data.missing_labels "
            f"'{words}' and --data.drop_incomplete true; if it is a class, --data.missing_labels '[]'."
        )


def label_notes(counts: Counter[str]) -> list[str]:
    """What may be wrong with labels."""
    notes, alike = list[str](), dict[str, dict[str, int]]()
    for label, number in counts.items():
        bare = (label[0] + _MARKS.sub("", label[1:])).casefold().lstrip("0")
        alike.setdefault(bare, {})[label] = number
    if several := [numbered(spellings) for spellings in alike.values() if len(spellings) > 1]:
        notes.append(f"Classes differ in case, marks or zeros alone: {'; '.join(several)}. Correct those that are one.")
    for mark in "|;,":
        parts = Counter(chain.from_iterable({*label.split(mark)} for label in counts))
        joined = {name: n for name, n in counts.items() if mark in name and min(parts[p] for p in name.split(mark)) > 1}
        if joined:
            notes.append(
                f"{numbered(joined)} look like several labels in one, with {mark!r} between them: each is a class, and "
                f"--data.label_separator '{mark}' takes them apart."
            )
    return notes


def numbered(counts: dict[str, int]) -> str:
    """Labels with the number of their rows."""
    shown = ", ".join(f"{label!r} ({number:,})" for label, number in islice(counts.items(), SHOWN))
    return shown + (f" and {len(counts) - SHOWN} more" if len(counts) > SHOWN else "")
