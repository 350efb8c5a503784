"""Trainings on ready token ids, which need neither files nor a tokenizer's words."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from lightning import Callback, LightningDataModule, LightningModule, Trainer
from torch.utils.data import DataLoader

from lightning_nlp.data.batches.collators import collate
from lightning_nlp.evaluation import IGNORE_INDEX
from lightning_nlp.models.heads import masked_positions
from lightning_nlp.training.precision import default_precision

SPECIAL_IDS = 5  # [PAD] [UNK] [CLS] [SEP] [MASK]


class Vocabulary:
    """What the modules ask of a tokenizer: its size and its padding."""

    def __init__(self, size: int, pad_token_id: int = 0) -> None:
        self.size = size
        self.pad_token_id = pad_token_id

    def __len__(self) -> int:
        return self.size


def make_batch(sequences: list[np.ndarray], labels: Any, *, packs: bool, pad_token_id: int = 0) -> dict[str, Any]:
    """The batch dict of this package, packed or padded.

    Args:
        sequences: Token ids.
        labels: For each sequence either an array of its length (mlm) or a class.
        packs: End to end without padding, or in rows of equal length (a multiple of 8).
        pad_token_id: The id of the padding token.
    """
    batch = collate(sequences, packed=packs, pad_token_id=pad_token_id)
    if np.ndim(labels[0]) == 0:
        return batch | {"labels": torch.tensor(labels)}
    places = torch.full_like(batch["input_ids"], IGNORE_INDEX)
    real = torch.ones_like(places, dtype=torch.bool) if packs else batch["attention_mask"].bool()
    places[real] = torch.from_numpy(np.concatenate(labels))
    return batch | {"labels": places, "masked": masked_positions(places)}


class TokenData(LightningDataModule):
    """Batches of given sequences, the same ones in each epoch; packed where the model packs.

    Args:
        groups: For each batch its sequences and their labels, as `make_batch` takes them.
        tokenizer: A tokenizer, or a `Vocabulary`.
        max_length: The longest sequence, in tokens.
        label_names: Of a classifier.
        packing: As `--data.packing`.
    """

    def __init__(
        self,
        groups: list[tuple[list[np.ndarray], Any]],
        *,
        tokenizer: Any,
        max_length: int,
        label_names: list[str] | None = None,
        packing: bool | str = "auto",
    ) -> None:
        super().__init__()
        self.groups = groups
        self.tokenizer = tokenizer
        self.max_length = max_length
        self.label_names = label_names or []
        self.class_counts = [1] * len(self.label_names)
        self.packing = packing
        self.packed = False

    @property
    def train_batches(self) -> int:
        """Batches of an epoch."""
        return len(self.groups)

    def train_dataloader(self) -> DataLoader[Any]:
        """The batches, made beforehand: what is measured is the step."""
        pad_token_id = self.tokenizer.pad_token_id
        batches: Any = [make_batch(*group, packs=self.packed, pad_token_id=pad_token_id) for group in self.groups]
        return DataLoader(batches, batch_size=None, pin_memory=torch.cuda.is_available())


def random_groups(
    lengths: Sequence[int], vocab_size: int, number: int, *, classes: int | None = None, seed: int = 0
) -> list[tuple[list[np.ndarray], Any]]:
    """Batches of random sequences, for masked language modelling or with random classes.

    Args:
        lengths: Of the sequences of each batch, in tokens.
        vocab_size: Ids are drawn from SPECIAL_IDS up to this.
        number: How many batches.
        classes: How many classes there are; None makes 15% of the tokens to be guessed.
        seed: Equal seeds give equal batches.
    """
    rng = np.random.default_rng(seed)
    groups: list[tuple[list[np.ndarray], Any]] = []
    for _ in range(number):
        ids = [rng.integers(SPECIAL_IDS, vocab_size, length) for length in lengths]
        if classes is None:
            groups.append((ids, [np.where(rng.random(len(row)) < 0.15, row, IGNORE_INDEX) for row in ids]))
        else:
            groups.append((ids, rng.integers(classes, size=len(ids)).tolist()))
    return groups


def train(
    module: LightningModule,
    data: LightningDataModule,
    callback: Callback,
    *,
    device: str,
    precision: str | None = None,
    max_epochs: int = 1,
) -> Trainer:
    """Train under Lightning's Trainer, which writes nothing.

    Args:
        module: A module of this package.
        data: Its batches.
        callback: Measures, and may end the training with an exception.
        device: "cpu" or "cuda".
        precision: Lightning's `trainer.precision`; None takes the package's default.
        max_epochs: How often the batches are seen.
    """
    accelerator = "gpu" if device == "cuda" else "cpu"
    trainer = Trainer(
        accelerator=accelerator,
        devices=1,
        precision=precision or default_precision(accelerator),  # type: ignore[arg-type]
        max_epochs=max_epochs,
        gradient_clip_val=1.0,
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        callbacks=[callback],
    )
    trainer.fit(module, datamodule=data)
    return trainer
