"""Cleans the rows of a split and drops incomplete ones, repeats, and copies from other splits."""

import re
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import chain

from lightning_nlp.data.settings import SPLITS, WARNING
from lightning_nlp.data.texts.normalize import clean_pair, clean_text, text_digest
from lightning_nlp.data.texts.sources import Source, numbered
from lightning_nlp.data.texts.targets import ask_about_minus_one, in_order, label_name, label_notes, names_in
from lightning_nlp.errors import UserError

# cp1252 read as Latin-1: its quotes, dashes and other marks become these
_LATIN1_CONTROL = re.compile("[\x80-\x84\x86-\x9f]")
MANY_REPEATS = 1 / 3  # of the training texts
LONG_LINE = 500  # characters: a corpus without line ends
SHOWN = 10  # places in an error message


@dataclass
class SplitCounts:
    """What became of the rows of one split."""

    read: int = 0
    incomplete: int = 0  # without text or label; dropped
    empty: int = 0  # only markup and white space; dropped, except labelled test rows
    repeats: int = 0  # of texts earlier in the split; dropped in train
    repeats_other_label: int = 0  # those labelled differently from the first
    in_validation: int = 0  # whose text is in validation; dropped from train
    in_test: int = 0  # whose text is in test; dropped from train and validation
    other_group: int = 0  # whose group is in test, or (for train) in validation; dropped
    kept: int = 0  # after held-out parts and samples were drawn


@dataclass
class CleaningCounts:
    """Counts by split, whether repeats were dropped, and notes for the user."""

    train: SplitCounts = field(default_factory=SplitCounts)
    validation: SplitCounts = field(default_factory=SplitCounts)
    test: SplitCounts = field(default_factory=SplitCounts)
    deduplicate: bool = True
    notes: list[str] = field(default_factory=list)

    def lines(self) -> list[str]:
        """A printable line for each split and each note."""
        lines, dropped = list[str](), "dropped" if self.deduplicate else "left in"
        for split in SPLITS:
            counts: SplitCounts = getattr(self, split)
            conflicts = f" ({counts.repeats_other_label:,} with another label)" if counts.repeats_other_label else ""
            plural = "" if counts.repeats == 1 else "s"
            numbers = {
                "without text or label dropped": counts.incomplete,
                "empty after cleaning": counts.empty,
                "with groups of another split dropped": counts.other_group,
                f"found in test {dropped}": counts.in_test,
                f"found in validation {dropped}": counts.in_validation,
                f"repeat{plural}{conflicts} {dropped if split == 'train' else 'left in'}": counts.repeats,
            }
            parts = [f"{counts.read:,} rows read" if counts.read else "held out from train"]
            parts += [f"{number:,} {what}" for what, number in numbers.items() if number]
            lines.append(f"{split}: {', '.join(parts)}; {counts.kept:,} used")
        return lines + [f"{WARNING}{note}" for note in self.notes]


@dataclass
class Reading:
    """Reads a source split by split, test first, and remembers what later splits must not repeat."""

    source: Source
    clean: bool
    deduplicate: bool
    seen: dict[str, dict[bytes, str | None]] = field(default_factory=dict)  # split -> digest of text -> label
    kept: dict[str, bytearray] = field(default_factory=dict)  # split -> digests of the rows that are kept
    labels: dict[str, list[str]] = field(default_factory=dict)  # split -> their labels, if any
    groups: dict[str, set[bytes]] = field(default_factory=dict)  # split -> digests of its groups
    group_of: dict[bytes, bytes] = field(default_factory=dict)  # digest of a text of train -> of its group
    first_places: dict[str, dict[str, str]] = field(default_factory=dict)  # split -> label -> its first place
    incomplete_places: list[str] = field(default_factory=list)
    missing: Counter[str] = field(default_factory=Counter)  # words for missing labels
    controls: int = 0  # texts with control characters of Latin-1
    first_control: str = ""
    warnings: list[str] = field(default_factory=list)

    def texts(self, split: str, counts: SplitCounts) -> Iterator[str]:
        """Yield the texts of a split that are kept."""
        source, earlier = self.source, list(self.groups.values())
        seen, groups, places = dict[bytes, str | None](), set[bytes](), dict[str, str]()
        self.seen[split], self.groups[split], self.first_places[split] = seen, groups, places
        kept, labels = self.kept[split], self.labels[split] = bytearray(), []
        prepare = clean_pair if source.paired else clean_text
        for row in source.splits[split]():
            counts.read += 1
            label = label_name(source, row) if source.labelled else None
            if source.labelled and (label is None or not row.text.strip()):
                counts.incomplete += 1
                self.incomplete_places.append(row.where)
                if label is None and row.label is not None:
                    self.missing[row.label] += 1
                continue
            if control := _LATIN1_CONTROL.search(row.text):
                self.controls += 1
                self.first_control = self.first_control or f"{control[0]!r}, first in {row.where}"
            cleaned = prepare(row.text)
            text = cleaned if self.clean else row.text.encode("utf-8", "replace").decode()  # no surrogates in UTF-8
            if not cleaned:
                counts.empty += 1
                if split != "test" or not source.labelled:
                    continue
            digest = text_digest(cleaned)
            if row.group is not None:
                group = text_digest(row.group)
                if any(group in others for others in earlier):
                    counts.other_group += 1
                    continue
                groups.add(group)
                if split == "train":  # a text in several groups counts for one, in any order of rows
                    self.group_of[digest] = min(group, self.group_of.get(digest, group))
            first = next((name for name in reversed(SPLITS) if digest in self.seen.get(name, ())), None)
            counts.in_test += first == "test" != split
            counts.in_validation += first == "validation" != split
            if first == split:
                counts.repeats += 1
                counts.repeats_other_label += seen[digest] != label
            if self.deduplicate and first is not None and (first != split or split == "train"):
                continue
            seen.setdefault(digest, label)
            kept += digest
            if label is not None:
                labels.append(label)
                places.setdefault(label, row.where)
            yield text
        if counts.read == 1 == len(source.splits) and len(row.text) > LONG_LINE:
            raise UserError(
                f"{source.description} is one line of {len(row.text):,} characters, and each line is a text: "
                "break it, for example with `sed 's/[.!?] /&\\n/g' OLD > NEW`, or give a --data.path with more texts."
            )
        if split == "train" and self.deduplicate and counts.repeats > MANY_REPEATS * counts.read:
            self.warnings.append(
                f"{counts.repeats:,} of {counts.read:,} training texts repeat earlier ones and were dropped: to keep "
                "lines of code, logs or verse, give --data.deduplicate false."
            )

    def incomplete_error(self) -> UserError:
        """The error that lists the rows without text or label."""
        number = len(self.incomplete_places)
        places = "; ".join(self.incomplete_places[:SHOWN]) + (f" (first {SHOWN})" if number > SHOWN else "")
        words = f" ({numbered(self.missing)} count as missing)" if self.missing else ""
        cure = "; if such words are classes, give --data.missing_labels '[]'" if self.missing else ""
        return UserError(
            f"{number:,} row{'' if number == 1 else 's'} without text or label{words}: {places}; fill them in, or drop "
            f"them with --data.drop_incomplete true{cure}."
        )

    def label_names(self) -> list[str] | None:
        """Label names in the order of their ids, None for numbers; a UserError if unusable."""
        if not self.source.labelled:
            return None
        form = self.source.form
        places = {split: dict[str, str]() for split in SPLITS}  # the first of each name
        for split, first in self.first_places.items():
            for entry, place in first.items():
                places[split] |= {name: place for name in names_in(form, entry) if name not in places[split]}
        known = {*places["train"]}
        for split in ("validation", "test"):
            for label, place in places[split].items():
                if label not in known:
                    cure = "give --data.missing_labels '[-1]' if it means no label; else " if label == "-1" else ""
                    raise UserError(
                        f"The label {label!r} is in {split} (first in {place}) but not in train, which has "
                        f"{', '.join(sorted(known)) or 'none'}: {cure}correct it, or give another --data.label_column."
                    )
        values = places["train"] if self.source.tagged else self.first_places["train"]
        if len(values) == 1:
            ((label, place),) = values.items()
            raise UserError(
                f"train has only one label, {label!r} (first in {place}): give data with two classes or more, or "
                f"another --data.label_column."
            )
        if form.problem == "number":
            return None
        if self.source.label_names is not None:
            return list(self.source.label_names)
        if form.missing is None and form.problem == "classes":
            ask_about_minus_one(known, [*self.missing])
        return in_order(known)

    def notes(self) -> list[str]:
        """Notes for the user."""
        notes, missing_labels = [*self.warnings], self.source.form.missing
        if self.controls:
            notes.append(
                f"{self.controls:,} texts contain control characters ({self.first_control}) that cleaning drops: "
                "quotes, dashes and euro signs read as Latin-1; read the original with --data.encoding cp1252."
            )
        if self.missing and missing_labels is None:
            notes.append(f"{numbered(self.missing)} count as missing: --data.missing_labels '[]' makes them classes.")
        if unknown := {*(missing_labels or ())} - {word.casefold() for word in self.missing}:
            notes.append(f"--data.missing_labels: no row has the label {', '.join(map(repr, sorted(unknown)))}.")
        if self.source.label_names is None and self.source.form.problem == "classes":
            notes += label_notes(Counter(chain.from_iterable(self.labels.values())))
        return notes
