"""Train, validation and test out of one source: what is held out, and which samples are kept.

A text's part follows from `split_seed` and the text alone, or from its group: a keyed hash against a fixed
bound. So rows that come, go or change places move no other text, copies fall together, and sizes are rough.
"""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from lightning_nlp.data.texts.arrow import write_split, write_texts
from lightning_nlp.data.texts.cleaning import CleaningCounts, Reading
from lightning_nlp.data.texts.layout import SPLITS
from lightning_nlp.data.texts.sources import Source
from lightning_nlp.errors import UserError

if TYPE_CHECKING:
    from datasets import Dataset

Parts = dict[str, tuple[str, np.ndarray]]  # for each split the split of the data that it is of, and its rows there


def draw(digests: bytes, split_seed: int) -> np.ndarray:
    """A number for each text in each split: it is held out where that is small, and so are samples taken.

    From digests of texts or groups, 16 bytes each, it makes (texts, 3) uint64, a column for each of `SPLITS`.
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

    A test split in the data stays as it is but for cleaning. What stands in it is dropped from validation and
    train, what stands in validation is dropped from train, and so are repeats within train; where rows have
    groups, those whose group stands there are too. A split that the data lacks is then drawn from train, then
    the samples.

    Args:
        work_dir: Where the Arrow files are written; they must stay while the data sets are used.
        clean: Apply `clean_text`. Repeats are found by the cleaned texts either way.
        deduplicate: Drop texts that repeat or that stand in another split; otherwise they are only counted.
        val_fraction: The probability of each text of train to be held out if the data has no validation
            split; if chance leaves none, one is. Test, by `test_fraction`, is drawn before it.
        max_train_samples: Keep so many examples, those with the smallest hashes. None keeps all.

    Returns:
        The splits, memory-mapped, with columns `text`, `hash` (half of `text_digest`, int64) and, for
        labelled sources, `label` (int64); the labels in the order of their ids, or None; and the counts.

    Raises:
        UserError: If an argument is out of its range, rows are incomplete, a split ends up empty, or its
            labels cannot be used.
    """
    from datasets import Dataset

    for name, fraction in (("val_fraction", val_fraction), ("test_fraction", test_fraction)):
        if not 0 < fraction < 1:
            raise UserError(f"--data.{name} is a share of train and must lie between 0 and 1, not {fraction}.")
    samples = {"train": max_train_samples, "validation": max_val_samples, "test": max_test_samples}
    for split, size in samples.items():
        if size is not None and size < 1:
            argument = f"--data.max_{'val' if split == 'validation' else split}_samples"
            raise UserError(f"{argument} is {size}, and must be at least 1: give null for all.")
    work_dir.mkdir(parents=True, exist_ok=True)
    counts = CleaningCounts(deduplicate=deduplicate)
    reading = Reading(source, clean, deduplicate)
    for split in reversed(SPLITS):  # test first: what stands in it decides what the others may keep
        if split in source.splits:
            write_texts(work_dir / f"{split}.rows.arrow", reading.texts(split, getattr(counts, split)))
    if reading.incomplete and not source.drop_incomplete:
        raise reading.incomplete_error()

    label_names = reading.label_names()
    counts.notes = reading.notes()
    columns = {split: {"hash": np.frombuffer(reading.kept[split], "<i8")[::2]} for split in source.splits}
    if label_names is not None:
        ids = {name: number for number, name in enumerate(label_names)}
        for split in columns:
            columns[split]["label"] = np.array([ids[label] for label in reading.labels[split]], dtype=np.int64)
    drawn = {split: draw(bytes(reading.kept[split]), split_seed) for split in source.splits}
    owners = draw(_owners(reading), split_seed) if reading.group_of else drawn["train"]
    parts = _hold_out(drawn, owners, {"test": test_fraction, "validation": val_fraction}, source.hold_out_by)
    for split, size in samples.items():
        origin, rows = parts[split]
        order = np.argsort(drawn[origin][rows, SPLITS.index(split)], kind="stable")
        parts[split] = origin, rows[np.sort(order[:size])]
    if source.labelled and len(np.unique(columns["train"]["label"][parts["train"][1]])) == 1:
        left = "validation and test were held out of" if max_train_samples is None else "samples were taken of"
        raise UserError(
            f"train has one label only after {left} its {len(drawn['train'])} rows: give more data with --data.path, "
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
            # Rows that are added take its place at most, and move no text out of train.
            held = numbers == numbers.min()
        parts[split], parts["train"] = ("train", rows[held]), ("train", rows[~held])
    for split in SPLITS:
        if split in parts and len(parts[split][1]):
            continue
        empty = len(drawn.get(split, owners)) == 0
        number, units = len(owners), len(np.unique(owners, axis=0))
        found = f"{number:,} row{'' if number == 1 else 's'}"
        found += "" if units == number else f" of {units:,} different texts or groups"
        raise UserError(
            f"No row is left for {split} after cleaning: "
            f"{'all are empty or stand in another split' if empty else f'train has {found}, too few to share'}; give "
            f"more data with --data.path, hold out less with {by}, or keep repeats with --data.deduplicate false."
        )
    return {split: parts[split] for split in SPLITS}


def _owners(reading: Reading) -> bytes:
    """What decides the part of each row of train: the digest of its group if it has one, else of its text."""
    kept = bytes(reading.kept["train"])
    texts = (kept[i : i + 16] for i in range(0, len(kept), 16))
    return b"".join(reading.group_of.get(text, text) for text in texts)
