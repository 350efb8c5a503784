"""Makes train, validation and test from one source: what is held out, and which samples are kept.

A text's part depends only on `split_seed` and the text or its group: a keyed hash is compared with a fixed
bound. So adding, removing or moving rows moves no other text, copies stay together, and sizes are
approximate.
"""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from lightning_nlp.data.settings import SPLITS
from lightning_nlp.data.texts.arrow import write_split, write_texts
from lightning_nlp.data.texts.cleaning import CleaningCounts, Reading
from lightning_nlp.data.texts.sources import Source
from lightning_nlp.data.texts.targets import label_columns
from lightning_nlp.errors import UserError, check_range

if TYPE_CHECKING:
    from datasets import Dataset

Parts = dict[str, tuple[str, np.ndarray]]  # by split: the split of the data it comes from, and the rows


def draw(digests: bytes, split_seed: int) -> np.ndarray:
    """Random numbers for digests of texts or groups, 16 bytes each: (texts, 3) uint64, one column per split.

    A text is held out if its number is small, and the smallest numbers are the samples.
    """
    key, size = split_seed.to_bytes(8, "little"), 8 * len(SPLITS)
    each = (digests[i : i + 16] for i in range(0, len(digests), 16))
    drawn = b"".join(hashlib.blake2b(digest, key=key, digest_size=size).digest() for digest in each)
    return np.frombuffer(drawn, "<u8").reshape(-1, len(SPLITS))


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
    split_seed: int = 0,
) -> tuple[dict[str, Dataset], list[str] | None, CleaningCounts]:
    """Read a source into train, validation and test.

    A test split in the data is only cleaned. Texts and groups in it are dropped from validation and train,
    those in validation from train, and so are repeats within train. Splits that the data lacks are then drawn
    from train, then the samples.

    Args:
        work_dir: Where the Arrow files are written; they must exist as long as the data sets are used.
        clean: Apply `clean_text`. Repeats are found by the cleaned texts either way.
        deduplicate: Drop texts that repeat or are in another split; otherwise they are only counted.
        val_fraction: The probability that a text of train is held out if the data has no validation split;
            at least one is. Test, by `test_fraction`, is drawn first.
        max_train_samples: Keep only this many texts, those with the smallest hashes. None keeps all.

    Returns:
        The splits, memory-mapped, with columns `text`, `hash` (half of `text_digest`, int64) and, if labelled,
        those of `label_columns`; the labels in the order of their ids, or None; and the counts.

    Raises:
        UserError: If an argument is out of range, rows are incomplete, a split is empty, or labels are unusable.
    """
    from datasets import Dataset

    check_range("--data.val_fraction", val_fraction, 0, 1, low_open=True, high_open=True)
    check_range("--data.test_fraction", test_fraction, 0, 1, low_open=True, high_open=True)
    samples = {"train": max_train_samples, "validation": max_val_samples, "test": max_test_samples}
    for split, size in samples.items():
        check_range(f"--data.max_{'val' if split == 'validation' else split}_samples", size, 1)
    work_dir.mkdir(parents=True, exist_ok=True)
    counts = CleaningCounts(deduplicate=deduplicate)
    reading = Reading(source, clean, deduplicate)
    for split in reversed(SPLITS):  # test first: it determines what the others may keep
        if split in source.splits:
            write_texts(work_dir / f"{split}.rows.arrow", reading.texts(split, getattr(counts, split)))
    if reading.incomplete_places and not source.drop_incomplete:
        raise reading.incomplete_error()

    label_names = reading.label_names()
    counts.notes = reading.notes()
    columns = {split: {"hash": np.frombuffer(reading.kept[split], "<i8")[::2]} for split in source.splits}
    if source.labelled:
        for split in columns:
            columns[split] |= label_columns(source.form, reading.labels[split], label_names)
    drawn = {split: draw(bytes(reading.kept[split]), split_seed) for split in source.splits}
    owners = drawn["train"]
    if reading.group_of:  # a group, not its texts, decides their part
        kept = bytes(reading.kept["train"])
        digests = (kept[i : i + 16] for i in range(0, len(kept), 16))
        owners = draw(b"".join(reading.group_of.get(digest, digest) for digest in digests), split_seed)
    parts = _hold_out(drawn, owners, {"test": test_fraction, "validation": val_fraction}, source.hold_out_by)
    for split, size in samples.items():
        origin, rows = parts[split]
        order = np.argsort(drawn[origin][rows, SPLITS.index(split)], kind="stable")
        parts[split] = origin, rows[np.sort(order[:size])]
    kind = "tags" if source.form.problem == "labels" else "label"
    train_labels = columns["train"][kind][parts["train"][1]] if source.labelled else np.arange(2)
    if len(np.unique(np.concatenate(train_labels) if source.tagged else train_labels)) == 1:
        left = "validation and test were held out of" if max_train_samples is None else "samples were drawn from"
        raise UserError(
            f"train has only one label after {left} its {len(drawn['train'])} rows: give more data with --data.path, "
            "a larger --data.max_train_samples, or another --data.split_seed."
        )
    splits = {}
    for split, (origin, rows) in parts.items():
        write_split(work_dir / f"{origin}.rows.arrow", rows, columns[origin], work_dir / f"{split}.arrow")
        getattr(counts, split).kept = len(rows)
        splits[split] = Dataset.from_file(str(work_dir / f"{split}.arrow"))
    for split in source.splits:
        (work_dir / f"{split}.rows.arrow").unlink()
    return splits, label_names, counts


def _hold_out(drawn: dict[str, np.ndarray], owners: np.ndarray, fractions: dict[str, float], by: str) -> Parts:
    """All rows of the data's own splits, and those of train that are held out for the others."""
    parts = {split: (split, np.arange(len(drawn[split]))) for split in drawn}
    for split, fraction in fractions.items():
        rows = parts["train"][1]
        if split in parts or not len(rows):
            continue
        numbers = owners[rows, SPLITS.index(split)]
        held = numbers < np.uint64(fraction * 2**64)
        if not held.any():
            held = numbers == numbers.min()  # added rows can replace it, but move no text out of train
        parts[split], parts["train"] = ("train", rows[held]), ("train", rows[~held])
    for split in SPLITS:
        if split in parts and len(parts[split][1]):
            continue
        number, units = len(owners), len(np.unique(owners, axis=0))
        distinct = "" if units == number else f" of {units:,} different texts or groups"
        why = f"train has {number:,} row{'' if number == 1 else 's'}{distinct}, too few to share"
        if not len(drawn.get(split, owners)):
            why = "all are empty or in another split"
        raise UserError(
            f"No row is left for {split} after cleaning: {why}; give more data with --data.path, hold out less with "
            f"{by}, or keep repeats with --data.deduplicate false."
        )
    return {split: parts[split] for split in SPLITS}
