"""From rows to the three splits: cleaned, without what stands in two of them, and the same ones on each run."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import chain

from lightning_nlp.data.texts.columns import Row
from lightning_nlp.data.texts.labels import ask_about_minus_one, label_notes, numbered
from lightning_nlp.data.texts.normalize import clean_text, text_digest
from lightning_nlp.data.texts.sources import SPLITS, Source
from lightning_nlp.errors import UserError

_WHOLE_NUMBER = re.compile(r"[+-]?\d{1,18}")
# What cp1252 has in the place of these, quotes and dashes among them, is lost to who reads it as Latin-1.
_LATIN1_CONTROL = re.compile("[\x80-\x84\x86-\x9f]")
MANY_REPEATS = 1 / 3  # of the training texts
LONG_LINE = 500  # characters: a corpus without line ends
WARNING = "warning: "
SHOWN = 10  # places in an error message


@dataclass
class SplitCounts:
    """What happened to the rows of one split, in numbers of them."""

    read: int = 0  # in the data
    incomplete: int = 0  # without text or label; dropped
    empty: int = 0  # nothing but markup and white space; dropped unless they are labelled test rows
    repeats: int = 0  # their text stands earlier in the split; dropped in train
    repeats_other_label: int = 0  # those of them that have another label than the first one
    in_validation: int = 0  # their text stands in validation; dropped in train
    in_test: int = 0  # their text stands in test; dropped in train and validation
    other_group: int = 0  # their group stands in test, or for train in validation; dropped
    kept: int = 0  # in the end, after the held-out parts and samples were drawn


@dataclass
class CleaningCounts:
    """What happened to the rows, by split; whether repeats were dropped; and what else the user should look at."""

    train: SplitCounts = field(default_factory=SplitCounts)
    validation: SplitCounts = field(default_factory=SplitCounts)
    test: SplitCounts = field(default_factory=SplitCounts)
    deduplicate: bool = True
    notes: list[str] = field(default_factory=list)

    def lines(self) -> list[str]:
        """One printable line a split, and one a note."""
        lines = []
        for split in SPLITS:
            counts: SplitCounts = getattr(self, split)
            parts = [f"{counts.read:,} rows read" if counts.read else "held out from train"]
            dropped = "dropped" if self.deduplicate else "left in"
            repeats = dropped if split == "train" else "left in"
            conflicts = f" ({counts.repeats_other_label:,} with another label)" if counts.repeats_other_label else ""
            for number, what in (
                (counts.incomplete, "without text or label dropped"),
                (counts.empty, "empty after cleaning"),
                (counts.other_group, "of groups that stand in another split dropped"),
                (counts.in_test, f"that stand in test {dropped}"),
                (counts.in_validation, f"that stand in validation {dropped}"),
                (counts.repeats, f"{'repeat' if counts.repeats == 1 else 'repeats'}{conflicts} {repeats}"),
            ):
                if number:
                    parts.append(f"{number:,} {what}")
            lines.append(f"{split}: {', '.join(parts)}; {counts.kept:,} used")
        return lines + [f"{WARNING}{note}" for note in self.notes]


@dataclass
class Reading:
    """What must be remembered from one split to the next while a source is read."""

    source: Source
    clean: bool
    deduplicate: bool
    seen: dict[str, dict[bytes, str | None]] = field(default_factory=dict)  # split -> digest of a text -> its label
    kept: dict[str, bytearray] = field(default_factory=dict)  # split -> the digests of the rows that are kept
    labels: dict[str, list[str]] = field(default_factory=dict)  # split -> their labels, if they have some
    groups: dict[str, set[bytes]] = field(default_factory=dict)  # split -> digests of the groups in it
    group_of: dict[bytes, bytes] = field(default_factory=dict)  # digest of a text of train -> digest of its group
    first_places: dict[str, dict[str, str]] = field(default_factory=dict)  # split -> label -> where it stands first
    incomplete: int = 0
    incomplete_places: list[str] = field(default_factory=list)
    missing: Counter[str] = field(default_factory=Counter)  # the words that stand for missing labels
    controls: int = 0  # texts with characters that Latin-1 has, and no text
    first_control: str = ""
    warnings: list[str] = field(default_factory=list)

    def texts(self, split: str, counts: SplitCounts) -> Iterator[str]:
        """The texts of a split that are kept."""
        earlier = list(self.groups.values())
        seen = self.seen[split] = {}
        kept, labels = self.kept[split], self.labels[split] = bytearray(), []
        groups = self.groups[split] = set()
        places = self.first_places[split] = {}
        quoted = 0
        for row in self.source.splits[split]():
            counts.read += 1
            quoted += row.text[:1] == '"' == row.text[1:][-1:]
            label = self.source.label_name(row) if self.source.labelled else None
            if self.source.labelled and (label is None or not row.text.strip()):
                counts.incomplete += 1
                self._note_incomplete(row, label)
                continue
            if control := _LATIN1_CONTROL.search(row.text):
                self.controls += 1
                self.first_control = self.first_control or f"{control[0]!r}, first in {row.where}"
            cleaned = clean_text(row.text)
            text = cleaned if self.clean else row.text.encode("utf-8", "replace").decode()  # UTF-8 has no surrogates
            if not cleaned:
                counts.empty += 1
                if split != "test" or not self.source.labelled:
                    continue
            digest = text_digest(cleaned)
            if row.group is not None:
                group = text_digest(row.group)
                if any(group in others for others in earlier):
                    counts.other_group += 1
                    continue
                groups.add(group)
                if split == "train":  # of copies in several groups one counts, whatever their order
                    self.group_of[digest] = min(group, self.group_of.get(digest, group))
            in_test = split != "test" and digest in self.seen.get("test", ())
            in_validation = split == "train" and not in_test and digest in self.seen.get("validation", ())
            repeats = not in_test and not in_validation and digest in seen
            counts.in_test += in_test
            counts.in_validation += in_validation
            counts.repeats += repeats
            counts.repeats_other_label += repeats and seen[digest] != label
            if self.deduplicate and (in_test or in_validation or (repeats and split == "train")):
                continue
            seen.setdefault(digest, label)
            kept += digest
            if label is not None:
                labels.append(label)
                places.setdefault(label, row.where)
            yield text
        if quoted == counts.read > 1:
            self.warnings.append(
                f"Each text of {split} begins and ends with a quotation mark, which is read as a part of it: give "
                "--data.quoting true, or take the marks out."
            )
        if counts.read == 1 == len(self.source.splits) and len(row.text) > LONG_LINE:
            raise UserError(
                f"{self.source.description} is one line of {len(row.text):,} characters, and a line is one text: "
                "break it, for example with `sed 's/[.!?] /&\\n/g' OLD > NEW`, or give --data.path more texts."
            )
        if split == "train" and self.deduplicate and counts.repeats > MANY_REPEATS * counts.read:
            self.warnings.append(
                f"{counts.repeats:,} of {counts.read:,} training texts repeat earlier ones and were dropped: if they "
                "are lines of code, of logs or of verse, keep them with --data.deduplicate false."
            )

    def _note_incomplete(self, row: Row, label: str | None) -> None:
        self.incomplete += 1
        if label is None and row.label is not None:
            self.missing[str(row.label)] += 1
        if self.incomplete <= SHOWN:
            self.incomplete_places.append(row.where)

    def incomplete_error(self) -> UserError:
        """The error that lists the rows without text or label."""
        shown = f" (first {SHOWN})" if self.incomplete > SHOWN else ""
        rows = "1 row" if self.incomplete == 1 else f"{self.incomplete:,} rows"
        words = f" ({numbered(self.missing)} stand for missing ones)" if self.missing else ""
        classes = "; if such words are classes, give --data.missing_labels '[]'" if self.missing else ""
        return UserError(
            f"{rows} without text or label{words}: {'; '.join(self.incomplete_places)}{shown}; fill them in, or "
            f"drop them with --data.drop_incomplete true{classes}."
        )

    def label_names(self) -> list[str] | None:
        """The labels in the order of their ids; raises a UserError where they cannot be used."""
        if not self.source.labelled:
            return None
        known = self.first_places["train"]
        for split in ("validation", "test"):
            for label, place in self.first_places.get(split, {}).items():
                if label not in known:
                    cure = "correct it, or give another --data.label_column."
                    if label == "-1":
                        cure = f"give --data.missing_labels '[-1]' if it is none; else {cure}"
                    raise UserError(
                        f"The label {label!r} stands in {split} (first in {place}) but not in train, which has "
                        f"{', '.join(sorted(known)) or 'none'}: {cure}"
                    )
        if len(known) == 1:
            raise UserError(
                f"train has one label only, {next(iter(known))!r} (first in {next(iter(known.values()))}): give data "
                "with two classes or more, or another --data.label_column."
            )
        if self.source.label_names is not None:
            return list(self.source.label_names)
        if self.source.missing_labels is None:
            ask_about_minus_one(known, [*self.missing])
        if all(map(_WHOLE_NUMBER.fullmatch, known)):
            return sorted(known, key=lambda label: (int(label), label))
        return sorted(known)

    def notes(self) -> list[str]:
        """What the user should look at, a line each."""
        notes = [*self.warnings]
        if self.controls:
            notes.append(
                f"{self.controls:,} texts hold control characters ({self.first_control}) that cleaning drops: quotes, "
                "dashes and euro signs become such when read as Latin-1; read the original with --data.encoding cp1252."
            )
        if self.missing and self.source.missing_labels is None:
            notes.append(f"{numbered(self.missing)} count as missing: --data.missing_labels '[]' makes them classes.")
        unknown = {*(self.source.missing_labels or ())} - {word.casefold() for word in self.missing}
        if unknown:
            notes.append(f"--data.missing_labels: no row has the label {', '.join(map(repr, sorted(unknown)))}.")
        given = self.source.label_names is not None
        return notes if given else notes + label_notes(Counter(chain.from_iterable(self.labels.values())))
