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
from lightning_nlp.models.classification import SequenceClassifier
from lightning_nlp.models.heads import masked_positions
from lightning_nlp.models.mlm import MaskedLanguageModel
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
    """The batch dict of this package, packed or padded; labels are an array a sequence (mlm), or a class each."""
    batch = collate(sequences, packed=packs, pad_token_id=pad_token_id)
    if np.ndim(labels[0]) == 0:
        return batch | {"labels": torch.tensor(labels)}
    places = torch.full_like(batch["input_ids"], IGNORE_INDEX)
    real = torch.ones_like(places, dtype=torch.bool) if packs else batch["attention_mask"].bool()
    places[real] = torch.from_numpy(np.concatenate(labels))
    return batch | {"labels": places, "masked": masked_positions(places)}


class TokenData(LightningDataModule):
    """Batches of given sequences and labels, as `make_batch` takes them; packed where the model packs."""

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
    """Batches of random sequences of these lengths, with random classes; without them 15% of the tokens are labels."""
    rng = np.random.default_rng(seed)
    groups: list[tuple[list[np.ndarray], Any]] = []
    for _ in range(number):
        ids = [rng.integers(SPECIAL_IDS, vocab_size, length) for length in lengths]
        if classes is None:
            groups.append((ids, [np.where(rng.random(len(row)) < 0.15, row, IGNORE_INDEX) for row in ids]))
        else:
            groups.append((ids, rng.integers(classes, size=len(ids)).tolist()))
    return groups


def random_data(
    lengths: Sequence[int], vocab_size: int, number: int, task: str, packing: bool | str = "auto"
) -> TokenData:
    """Random batches of a task, "mlm" or "cls"."""
    groups = random_groups(lengths, vocab_size, number, classes=None if task == "mlm" else 2)
    labels = ["neg", "pos"] if task == "cls" else None
    settings = {"tokenizer": Vocabulary(vocab_size), "max_length": max(lengths), "packing": packing}
    return TokenData(groups, **settings, label_names=labels)


def new_module(task: str, layers: int, dim: int) -> LightningModule:
    """A new DistilBERT with this package's training of a task."""
    sizes = {"n_layers": layers, "n_heads": max(2, dim // 64), "dim": dim, "hidden_dim": 4 * dim}
    steady = {"schedule": "constant", "warmup_ratio": 0.0}
    if task == "mlm":
        return MaskedLanguageModel(**sizes, **steady, max_position_embeddings=512)
    return SequenceClassifier(**sizes, **steady)


def train(
    module: LightningModule,
    data: LightningDataModule,
    callback: Callback,
    *,
    device: str,
    precision: str | None = None,
) -> None:
    """Train under Lightning's Trainer, which writes nothing, in the package's default precision unless told."""
    accelerator = "gpu" if device == "cuda" else "cpu"
    trainer = Trainer(
        accelerator=accelerator,
        devices=1,
        precision=precision or default_precision(accelerator),  # type: ignore[arg-type]
        max_epochs=1,
        gradient_clip_val=1.0,
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        callbacks=[callback],
    )
    trainer.fit(module, datamodule=data)
