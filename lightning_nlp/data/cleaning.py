"""From rows to the three splits: cleaned, without what stands in two of them, and the same ones on each run."""

from __future__ import annotations

import hashlib
import re
import unicodedata
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from lightning_nlp.data.readers import Row
from lightning_nlp.data.sources import SPLITS, Source
from lightning_nlp.errors import UserError

if TYPE_CHECKING:
    import pyarrow as pa
    from datasets import Dataset

# For folded white space. The repeat is bounded: without that, many "<br " in a row take quadratic time.
_BREAK = re.compile(r"< ?/? ?br(?: [^<>\n]{0,60}|/ ?)?>", re.IGNORECASE)
# All of Cc but white space; and lone halves of surrogate pairs, as cut JSON escapes leave them: UTF-8 cannot hold them.
_CONTROL = re.compile("[\x00-\x08\x0e-\x1b\x7f-\x84\x86-\x9f\ud800-\udfff]")
_WHOLE_NUMBER = re.compile(r"[+-]?\d+")
SHOWN = 10  # places in an error message
WRITE_ROWS, WRITE_CHARACTERS = 1000, 1 << 24


def clean_text(text: str) -> str:
    r"""Normalise a text: markup for line breaks, white space, control characters, Unicode.

    Args:
        text: Any text.

    Returns:
        The text with `<br />` and its variants as "\n", other white space folded to one " " or, where it holds a line
        break, one "\n", without control characters and outer white space, in Unicode's form NFC.
    """
    text, breaks = _BREAK.subn("\n", _fold_space(_CONTROL.sub("", text)))
    return unicodedata.normalize("NFC", _fold_space(text) if breaks else text)


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
        kept: Rows in the end, after the held-out parts and samples were drawn.
    """

    read: int = 0
    incomplete: int = 0
    empty: int = 0
    repeats: int = 0
    repeats_other_label: int = 0
    in_validation: int = 0
    in_test: int = 0
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
                (counts.in_test, f"that stand in test {dropped}"),
                (counts.in_validation, f"that stand in validation {dropped}"),
                (counts.repeats, f"{'repeat' if counts.repeats == 1 else 'repeats'}{conflicts} {repeats}"),
            ):
                if number:
                    parts.append(f"{number:,} {what}")
            lines.append(f"{split}: {', '.join(parts)}; {counts.kept:,} used")
        return lines


def stratified_indices(labels: Sequence[int] | np.ndarray | None, size: int, total: int, seed: int) -> np.ndarray:
    """Draw examples, of each class in proportion to its number (largest remainder).

    Of a class with two or more examples at least one is drawn and at least one left, and a single example is left, as
    far as `size` allows it.

    Args:
        labels: The class of each of the `total` examples, from 0; None draws without regard to classes.
        size: How many to draw, at most `total`.
        total: How many there are.
        seed: Seed of the generator.

    Returns:
        `size` different indices in ascending order.
    """
    assert 0 <= size <= total, (size, total)
    rng = np.random.default_rng(seed)
    if labels is None or size in (0, total):
        return np.sort(rng.choice(total, size, replace=False))
    labels = np.asarray(labels)
    assert len(labels) == total, (len(labels), total)
    counts = np.bincount(labels).astype(np.int64)
    least = (counts >= 2).astype(np.int64)
    if least.sum() > size:
        least[:] = 0
    most = np.maximum(counts - 1, 0)
    if most.sum() < size:
        most = counts
    # In whole numbers: the share of a class is size * counts / total, and owed / total is what it lacks.
    drawn = np.clip(size * counts // total, least, most)
    while drawn.sum() != size:
        owed = size * counts - drawn * total
        if drawn.sum() < size:
            drawn[np.argmax(np.where(drawn < most, owed, np.iinfo(np.int64).min))] += 1
        else:
            drawn[np.argmin(np.where(drawn > least, owed, np.iinfo(np.int64).max))] -= 1
    parts = [rng.choice(np.flatnonzero(labels == label), number, replace=False) for label, number in enumerate(drawn)]
    return np.sort(np.concatenate(parts))


def build_splits(
    source: Source,
    *,
    work_dir: Path,
    clean: bool = True,
    deduplicate: bool = True,
    val_fraction: float = 0.1,
    test_fraction: float = 0.1,
    max_train_samples: int | None = None,
    max_val_samples: int | None = None,
    max_test_samples: int | None = None,
    seed: int = 0,
) -> tuple[dict[str, Dataset], list[str] | None, CleaningCounts]:
    """Read a source into train, validation and test.

    A test split in the data stays as it is but for cleaning. What stands in it is dropped from validation and train,
    what stands in validation is dropped from train, and so are repeats within train. A split that the data lacks is
    then drawn from train, and at last the samples are.

    Args:
        source: The texts.
        work_dir: Where the Arrow files are written; they must stay while the data sets are used.
        clean: Apply `clean_text`. Repeats are found by the cleaned texts either way.
        deduplicate: Drop texts that repeat or that stand in another split; otherwise they are only counted.
        val_fraction: The share of train to hold out if the data has no validation split, after the test part is gone.
        test_fraction: The share of train to hold out if the data has no test split.
        max_train_samples: Keep so many examples of train, with the classes in proportion. None keeps all.
        max_val_samples: The same for validation.
        max_test_samples: The same for test.
        seed: Seed of all draws.

    Returns:
        The splits, memory-mapped, with columns `text` and, for labelled sources, `label` (int64); the names of the
        labels in the order of their ids, or None; and what was counted.

    Raises:
        UserError: If an argument is out of its range, if rows are incomplete, if a split ends up empty, or if its
            labels cannot be used.
    """
    from datasets import Dataset

    for name, fraction in (("val_fraction", val_fraction), ("test_fraction", test_fraction)):
        if not 0 < fraction < 1:
            raise UserError(f"--data.{name} is a share of train and must lie between 0 and 1, not {fraction}.")
    samples = {"train": max_train_samples, "validation": max_val_samples, "test": max_test_samples}
    work_dir.mkdir(parents=True, exist_ok=True)
    labelled = source.labelled
    if labelled is None:
        labelled = next((row.label is not None for row in source.splits["train"]()), False)
    counts = CleaningCounts(deduplicate=deduplicate)
    reading = _Reading(source, clean, deduplicate, labelled)
    for split in reversed(SPLITS):  # test first: what stands in it decides what the others may keep
        if split in source.splits:
            _write_rows(work_dir / f"{split}.rows.arrow", reading.rows(split, getattr(counts, split)), labelled)
    if reading.incomplete and not source.drop_incomplete:
        raise reading.incomplete_error()

    label_names = reading.label_names()
    ids = {split: _label_ids(work_dir / f"{split}.rows.arrow", label_names) for split in source.splits}
    parts = _choose_rows(ids, label_names, {"test": test_fraction, "validation": val_fraction}, samples, seed)
    splits = {}
    for split in SPLITS:
        origin, rows = parts[split]
        _write_split(work_dir / f"{origin}.rows.arrow", rows, ids[origin], labelled, work_dir / f"{split}.arrow")
        getattr(counts, split).kept = len(rows)
        splits[split] = Dataset.from_file(str(work_dir / f"{split}.arrow"))
    for split in source.splits:
        (work_dir / f"{split}.rows.arrow").unlink()
    return splits, label_names, counts


@dataclass
class _Reading:
    """What must be remembered from one split to the next while a source is read."""

    source: Source
    clean: bool
    deduplicate: bool
    labelled: bool
    seen: dict[str, dict[bytes, str | None]] = field(default_factory=dict)  # split -> digest of a text -> its label
    first_places: dict[str, dict[str, str]] = field(default_factory=dict)  # split -> label -> where it stands first
    incomplete: int = 0
    incomplete_places: list[str] = field(default_factory=list)

    def rows(self, split: str, counts: SplitCounts) -> Iterator[tuple[str, str | None]]:
        """The texts and labels of a split that are kept."""
        seen = self.seen[split] = {}
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
            digest = hashlib.blake2b(cleaned.encode(), digest_size=16).digest()
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
            if label is not None:
                places.setdefault(label, row.where)
            yield text, label

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


def _choose_rows(
    ids: dict[str, np.ndarray],
    label_names: list[str] | None,
    fractions: dict[str, float],
    samples: dict[str, int | None],
    seed: int,
) -> dict[str, tuple[str, np.ndarray]]:
    """For each split the split of the data that it is drawn from, and its rows there in ascending order."""

    def draw(origin: str, rows: np.ndarray, size: int) -> np.ndarray:
        return stratified_indices(None if label_names is None else ids[origin][rows], size, len(rows), seed)

    parts = {split: (split, np.arange(len(ids[split]))) for split in ids}
    for split, fraction in fractions.items():
        rows = parts["train"][1]
        if split not in parts and len(rows) > 1:
            drawn = draw("train", rows, min(max(1, round(fraction * len(rows))), len(rows) - 1))
            parts[split] = ("train", rows[drawn])
            parts["train"] = ("train", np.delete(rows, drawn))
    for split in SPLITS:
        if split not in parts or not len(parts[split][1]):
            left = "1 row" if len(ids["train"]) == 1 else f"{len(ids['train']):,} rows"
            why = "all are empty or stand in another split" if split in ids else f"train has {left}, too few to share"
            raise UserError(
                f"No row is left for {split} after cleaning: {why}; give more data with --data.path, or keep repeats "
                "with --data.deduplicate false."
            )
    if label_names is not None and len(np.unique(ids["train"][parts["train"][1]])) == 1:
        raise UserError(
            f"train has one label only after validation and test were held out of its {len(ids['train'])} rows: give "
            "more data with --data.path."
        )
    least = 1 if label_names is None else len(label_names)
    for split, argument in (
        ("train", "max_train_samples"),
        ("validation", "max_val_samples"),
        ("test", "max_test_samples"),
    ):
        size, (origin, rows) = samples[split], parts[split]
        if size is None:
            continue
        if size < least:
            what = "one example" if label_names is None else f"one example of each of the {least} classes"
            raise UserError(f"--data.{argument} {size} is less than {what}: give at least {least}, or null for all.")
        if size < len(rows) and split == "train":
            # What is left out is drawn: a class with a single example stays in train.
            parts[split] = (origin, np.delete(rows, draw(origin, rows, len(rows) - size)))
        elif size < len(rows):
            parts[split] = (origin, rows[draw(origin, rows, size)])
    return parts


def _schema(labelled: bool, label_type: pa.DataType) -> pa.Schema:
    import pyarrow as pa

    return pa.schema({"text": pa.string(), "label": label_type} if labelled else {"text": pa.string()})


def _write_rows(path: Path, rows: Iterable[tuple[str, str | None]], labelled: bool) -> None:
    """Write texts and the labels' names to an Arrow stream, a batch at a time."""
    import pyarrow as pa

    schema = _schema(labelled, pa.string())
    texts: list[str] = []
    labels: list[str | None] = []
    characters = 0
    with pa.OSFile(str(path), "wb") as file, pa.ipc.new_stream(file, schema) as writer:

        def flush() -> None:
            columns = [pa.array(texts, pa.string()), pa.array(labels, pa.string())][: len(schema)]
            writer.write_batch(pa.record_batch(columns, schema=schema))

        for text, label in rows:
            texts.append(text)
            labels.append(label)
            characters += len(text)
            if len(texts) == WRITE_ROWS or characters > WRITE_CHARACTERS:  # a column holds 2 GiB at most
                flush()
                texts, labels, characters = [], [], 0
        flush()


def _label_ids(path: Path, label_names: list[str] | None) -> np.ndarray:
    """The label ids in a file of `_write_rows`; zeros for texts without labels."""
    import pyarrow as pa
    import pyarrow.compute as pc

    with pa.memory_map(str(path)) as file, pa.ipc.open_stream(file) as reader:
        if label_names is None:
            return np.zeros(sum(batch.num_rows for batch in reader), dtype=np.int64)
        names = pa.array(label_names, pa.string())
        ids = [pc.index_in(batch.column("label"), value_set=names).to_numpy() for batch in reader]
    return np.concatenate(ids).astype(np.int64)


def _write_split(source: Path, rows: np.ndarray, ids: np.ndarray, labelled: bool, path: Path) -> None:
    """Copy rows, ascending, from a file of `_write_rows`, with ids as labels."""
    import pyarrow as pa

    schema = _schema(labelled, pa.int64())
    first = 0
    with (
        pa.memory_map(str(source)) as file,
        pa.ipc.open_stream(file) as reader,
        pa.OSFile(str(path), "wb") as output,
        pa.ipc.new_stream(output, schema) as writer,
    ):
        for batch in reader:
            chosen = rows[np.searchsorted(rows, first) : np.searchsorted(rows, first + batch.num_rows)]
            columns = [batch.column("text").take(pa.array(chosen - first)), pa.array(ids[chosen])][: len(schema)]
            if len(chosen):
                writer.write_batch(pa.record_batch(columns, schema=schema))
            first += batch.num_rows
