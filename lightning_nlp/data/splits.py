"""Train, validation and test out of one source: what is held out, and which samples are kept."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from lightning_nlp.data.arrow import label_ids, write_rows, write_split
from lightning_nlp.data.cleaning import CleaningCounts, Reading
from lightning_nlp.data.files import SPLITS
from lightning_nlp.data.sources import Source
from lightning_nlp.errors import UserError

if TYPE_CHECKING:
    from datasets import Dataset


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
    reading = Reading(source, clean, deduplicate, labelled)
    for split in reversed(SPLITS):  # test first: what stands in it decides what the others may keep
        if split in source.splits:
            write_rows(work_dir / f"{split}.rows.arrow", reading.rows(split, getattr(counts, split)), labelled)
    if reading.incomplete and not source.drop_incomplete:
        raise reading.incomplete_error()

    label_names = reading.label_names()
    ids = {split: label_ids(work_dir / f"{split}.rows.arrow", label_names) for split in source.splits}
    parts = _choose_rows(ids, label_names, {"test": test_fraction, "validation": val_fraction}, samples, seed)
    splits = {}
    for split in SPLITS:
        origin, rows = parts[split]
        write_split(work_dir / f"{origin}.rows.arrow", rows, ids[origin], labelled, work_dir / f"{split}.arrow")
        getattr(counts, split).kept = len(rows)
        splits[split] = Dataset.from_file(str(work_dir / f"{split}.arrow"))
    for split in source.splits:
        (work_dir / f"{split}.rows.arrow").unlink()
    return splits, label_names, counts


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
