"""A data module of ready token ids, for trainings that need neither files nor a tokenizer's words."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from lightning import LightningDataModule
from torch.utils.data import DataLoader

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
    lengths = np.array([len(sequence) for sequence in sequences])
    per_token = np.ndim(labels[0]) > 0
    if packs:
        ends = np.cumsum(lengths)
        return {
            "input_ids": torch.from_numpy(np.concatenate(sequences))[None],
            "position_ids": torch.from_numpy(np.concatenate([np.arange(length) for length in lengths]))[None],
            "cu_seqlens": torch.from_numpy(np.concatenate([[0], ends]).astype(np.int32)),
            "max_seqlen": int(lengths.max()),
            "labels": torch.from_numpy(np.concatenate(labels))[None] if per_token else torch.tensor(labels),
        }
    mask = np.arange(-(-lengths.max() // 8) * 8) < lengths[:, None]
    ids = np.full(mask.shape, pad_token_id, dtype=np.int64)
    ids[mask] = np.concatenate(sequences)
    batch = {"input_ids": torch.from_numpy(ids), "attention_mask": torch.from_numpy(mask.astype(np.int64))}
    if not per_token:
        return batch | {"labels": torch.tensor(labels)}
    padded = np.full(mask.shape, -100, dtype=np.int64)
    padded[mask] = np.concatenate(labels)
    return batch | {"labels": torch.from_numpy(padded)}


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

    @property
    def train_batches(self) -> int:
        """Batches of an epoch."""
        return len(self.groups)

    def train_dataloader(self) -> DataLoader[Any]:
        """The batches, made beforehand: what is measured is the step."""
        packs = bool(getattr(self.trainer.lightning_module, "packs", False))
        pad_token_id = self.tokenizer.pad_token_id
        batches: Any = [make_batch(*group, packs=packs, pad_token_id=pad_token_id) for group in self.groups]
        return DataLoader(batches, batch_size=None, pin_memory=torch.cuda.is_available())


def random_groups(length: int, tokens: int, vocab_size: int, number: int, seed: int = 0) -> list[Any]:
    """Batches of random sequences for masked language modelling, 15% of the tokens to be guessed.

    Args:
        length: Of each sequence, in tokens.
        tokens: Of each batch; it holds as many whole sequences as fit, and at least one.
        vocab_size: Ids are drawn from SPECIAL_IDS up to this.
        number: How many batches.
        seed: Equal seeds give equal batches.
    """
    rng = np.random.default_rng(seed)
    groups = []
    for _ in range(number):
        ids = rng.integers(SPECIAL_IDS, vocab_size, (max(1, tokens // length), length))
        labels = np.where(rng.random(ids.shape) < 0.15, ids, -100)
        groups.append((list(ids), list(labels)))
    return groups
