"""From rows to the three splits: cleaned, without what stands in two of them, and the same ones on each run."""

from __future__ import annotations

import hashlib
import re
import unicodedata
from collections.abc import Iterator
from dataclasses import dataclass, field

from lightning_nlp.data.columns import Row
from lightning_nlp.data.sources import SPLITS, Source
from lightning_nlp.errors import UserError

# For folded white space. The repeat is bounded: without that, many "<br " in a row take quadratic time.
_BREAK = re.compile(r"< ?/? ?br(?: [^<>\n]{0,60}|/ ?)?>", re.IGNORECASE)
# All of Cc but white space; and lone halves of surrogate pairs, as cut JSON escapes leave them: UTF-8 cannot hold them.
_CONTROL = re.compile("[\x00-\x08\x0e-\x1b\x7f-\x84\x86-\x9f\ud800-\udfff]")
_WHOLE_NUMBER = re.compile(r"[+-]?\d{1,18}")
MOST_MARKS = 30
_LONG_ROW = re.compile("[^\x00-\u02ff]{31}")  # found fast, and hardly ever in languages with spaces
_MARKS = re.compile(r"[^\w\s\x00-\x7f]{31,}")  # all marks are among these
SHOWN = 10  # places in an error message


def clean_text(text: str) -> str:
    r"""Normalise a text: markup for line breaks, white space, control characters, Unicode.

    Args:
        text: Any text.

    Returns:
        The text with `<br />` and its variants as "\n", other white space folded to one " " or, where it holds a line
        break, one "\n", without control characters and outer white space, in Unicode's form NFC, with 30 combining
        marks in a row at most, as Unicode's stream-safe format has it (no language has more than a few).
    """
    # Composed before the pattern counts characters: a second cleaning finds what the first one found.
    text, breaks = _BREAK.subn("\n", _fold_space(_compose(_CONTROL.sub("", text))))
    return _fold_space(text) if breaks else text


def _compose(text: str) -> str:
    """NFC in linear time: Python puts a row of combining marks in order in quadratic time."""
    if text.isascii() or not _LONG_ROW.search(text):
        return unicodedata.normalize("NFC", text)
    text = unicodedata.normalize("NFC", _MARKS.sub(_few_marks, text))
    return _MARKS.sub(_few_marks, text)  # taking some characters apart makes rows longer


def _few_marks(match: re.Match[str]) -> str:
    kept, row = [], 0
    for character in match[0]:
        row = row + 1 if unicodedata.combining(character) else 0
        if row <= MOST_MARKS:
            kept.append(character)
    return "".join(kept)


def text_digest(cleaned: str) -> bytes:
    """16 bytes for a text that is cleaned, whatever `--data.clean` says; a change here moves texts to other parts."""
    return hashlib.blake2b(cleaned.encode(), digest_size=16).digest()


def _fold_space(text: str) -> str:
    return "\n".join(filter(None, (" ".join(line.split()) for line in text.splitlines())))


@dataclass
class SplitCounts:
    """What happened to the rows of one split.

    Attributes:
        read: Rows in the data.
        incomplete: Rows without text or label, dropped.
        empty: Rows that hold nothing but markup and white space, dropped unless they are labelled test rows.
        repeats: Rows whose text stands earlier in the split; dropped in train.
        repeats_other_label: Those of them that have another label than the first one.
        in_validation: Rows whose text stands in validation; dropped in train.
        in_test: Rows whose text stands in test; dropped in train and validation.
        other_group: Rows whose group stands in test, or for train in validation; dropped.
        kept: Rows in the end, after the held-out parts and samples were drawn.
    """

    read: int = 0
    incomplete: int = 0
    empty: int = 0
    repeats: int = 0
    repeats_other_label: int = 0
    in_validation: int = 0
    in_test: int = 0
    other_group: int = 0
    kept: int = 0


@dataclass
class CleaningCounts:
    """What happened to the rows, by split; `deduplicate` says whether repeats were dropped."""

    train: SplitCounts = field(default_factory=SplitCounts)
    validation: SplitCounts = field(default_factory=SplitCounts)
    test: SplitCounts = field(default_factory=SplitCounts)
    deduplicate: bool = True

    def lines(self) -> list[str]:
        """One printable line a split."""
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
        return lines


@dataclass
class Reading:
    """What must be remembered from one split to the next while a source is read."""

    source: Source
    clean: bool
    deduplicate: bool
    labelled: bool
    seen: dict[str, dict[bytes, str | None]] = field(default_factory=dict)  # split -> digest of a text -> its label
    kept: dict[str, bytearray] = field(default_factory=dict)  # split -> the digests of the rows that are kept
    labels: dict[str, list[str]] = field(default_factory=dict)  # split -> their labels, if they have some
    groups: dict[str, set[bytes]] = field(default_factory=dict)  # split -> digests of the groups in it
    group_of: dict[bytes, bytes] = field(default_factory=dict)  # digest of a text of train -> digest of its group
    first_places: dict[str, dict[str, str]] = field(default_factory=dict)  # split -> label -> where it stands first
    incomplete: int = 0
    incomplete_places: list[str] = field(default_factory=list)

    def texts(self, split: str, counts: SplitCounts) -> Iterator[str]:
        """The texts of a split that are kept."""
        earlier = list(self.groups.values())
        seen = self.seen[split] = {}
        kept, labels = self.kept[split], self.labels[split] = bytearray(), []
        groups = self.groups[split] = set()
        places = self.first_places[split] = {}
        for row in self.source.splits[split]():
            counts.read += 1
            if self.labelled and (row.label is None or not row.text.strip()):
                counts.incomplete += 1
                self._note_incomplete(row)
                continue
            cleaned = clean_text(row.text)
            text = cleaned if self.clean else row.text.encode("utf-8", "replace").decode()  # UTF-8 has no surrogates
            label = self._label_name(row) if self.labelled else None
            if not cleaned:
                counts.empty += 1
                if split != "test" or not self.labelled:
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

    def _label_name(self, row: Row) -> str:
        names = self.source.label_names
        if names is None:
            return str(row.label)
        name = names[row.label] if isinstance(row.label, int) and 0 <= row.label < len(names) else str(row.label)
        if name not in names:
            raise UserError(
                f"The label {name!r} is none of {', '.join(names)}: {row.where}; correct it, or give another "
                "--data.label_column."
            )
        return name

    def _note_incomplete(self, row: Row) -> None:
        self.incomplete += 1
        if self.incomplete <= SHOWN:
            self.incomplete_places.append(row.where)

    def incomplete_error(self) -> UserError:
        """The error that lists the rows without text or label."""
        shown = f" (first {SHOWN})" if self.incomplete > SHOWN else ""
        rows = "1 row" if self.incomplete == 1 else f"{self.incomplete:,} rows"
        return UserError(
            f"{rows} without text or label: {_list_places(self.incomplete_places)}{shown}; fill them in, or drop them "
            "with --data.drop_incomplete true."
        )

    def label_names(self) -> list[str] | None:
        """The labels in the order of their ids; raises a UserError where they cannot be used."""
        if not self.labelled:
            return None
        known = self.first_places["train"]
        for split in ("validation", "test"):
            for label, place in self.first_places.get(split, {}).items():
                if label not in known:
                    raise UserError(
                        f"The label {label!r} stands in {split} (first in {place}) but not in train, which has "
                        f"{', '.join(sorted(known)) or 'none'}: correct it, or give another --data.label_column."
                    )
        if len(known) == 1:
            raise UserError(
                f"train has one label only, {next(iter(known))!r} (first in {next(iter(known.values()))}): give data "
                "with two classes or more, or another --data.label_column."
            )
        if self.source.label_names is not None:
            return list(self.source.label_names)
        if all(map(_WHOLE_NUMBER.fullmatch, known)):
            return sorted(known, key=lambda label: (int(label), label))
        return sorted(known)


def _list_places(places: list[str]) -> str:
    """Turn the places "a.csv, line 4" and "a.csv, line 9" into "a.csv, lines 4, 9"."""
    groups: dict[tuple[str, str], list[str]] = {}
    for place in places:
        match = re.fullmatch(r"(.*, (?:line|row)) (\d+)(.*)", place)
        groups.setdefault((match[1], match[3]) if match else (place, ""), []).append(match[2] if match else "")
    return "; ".join(
        f"{before}{'s' if len(numbers) > 1 else ''} {', '.join(numbers)}{after}".strip()
        for (before, after), numbers in groups.items()
    )
