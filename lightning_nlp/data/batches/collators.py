"""Examples become one batch: padding or packing, as pure functions."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

from lightning_nlp.evaluation import IGNORE_INDEX, token_types

PAD_MULTIPLE = 8  # matrix units work on multiples of 8


def packed_batch(sequences: Sequence[np.ndarray]) -> dict[str, Any]:
    """Lay n arrays of token ids end to end, T in all, without padding.

    Returns:
        `input_ids` (1, T) and `position_ids` (1, T), counting from 0 in each sequence, both int64;
        `cu_seqlens` (n + 1,) int32, where each sequence begins and the last ends; `max_seqlen`, the longest.
    """
    lengths = np.array([len(sequence) for sequence in sequences])
    ends = np.cumsum(lengths)
    input_ids = np.concatenate(sequences).astype(np.int64)
    position_ids = np.arange(len(input_ids)) - np.repeat(ends - lengths, lengths)
    return {
        "input_ids": torch.from_numpy(input_ids)[None],
        "position_ids": torch.from_numpy(position_ids)[None],
        "cu_seqlens": torch.from_numpy(np.concatenate([[0], ends]).astype(np.int32)),
        "max_seqlen": int(lengths.max()),
    }


def collate(
    sequences: Sequence[np.ndarray],
    *,
    packed: bool,
    pad_token_id: int = 0,
    max_length: int | None = None,
    seconds: Sequence[int] | None = None,
) -> dict[str, Any]:
    """Pack B arrays of token ids, or pad them to the longest, to a multiple of 8 within `max_length`.

    Args:
        seconds: For pairs of texts, where the second begins in each sequence.

    Returns:
        What `packed_batch` returns, or `input_ids` (B, T) and `attention_mask` (B, T), both int64; with `seconds`
        also `token_type_ids` like `input_ids`.
    """
    if packed:
        batch = packed_batch(sequences)
    else:
        lengths = np.array([len(sequence) for sequence in sequences])
        width = -(-int(lengths.max()) // PAD_MULTIPLE) * PAD_MULTIPLE
        if max_length is not None:
            width = max(int(lengths.max()), min(width, max_length))
        mask = torch.from_numpy(np.arange(width) < lengths[:, None])
        batch = {"input_ids": torch.full(mask.shape, pad_token_id), "attention_mask": mask.long()}
        batch["input_ids"][mask] = torch.from_numpy(np.concatenate(sequences).astype(np.int64))
    if seconds is not None:
        types = [token_types(len(ids), second) for ids, second in zip(sequences, seconds, strict=True)]
        batch["token_type_ids"] = per_token(batch, torch.from_numpy(np.concatenate(types)), 0)
    return batch


def per_token(batch: dict[str, Any], values: Tensor, padding: int = IGNORE_INDEX) -> Tensor:
    """A value for each token, one sequence after the other, in the shape of the batch's `input_ids`."""
    if "attention_mask" not in batch:
        return values[None]
    padded = torch.full_like(batch["input_ids"], padding)
    padded[batch["attention_mask"].bool()] = values
    return padded


def longest_first(examples: dict[str, Any], packed: bool) -> dict[str, Any]:
    """The examples of a packed batch, longest first: on a CPU, equally long neighbours attend in one operation."""
    if not packed:
        return examples
    order = sorted(range(len(examples["input_ids"])), key=lambda i: -len(examples["input_ids"][i]))
    return {name: [column[i] for i in order] for name, column in examples.items()}


def collate_classification(
    examples: dict[str, Any], epoch: int, *, packed: bool = False, n_labels: int | None = None, **padding: Any
) -> dict[str, Any]:
    """Pad or pack labelled examples to one batch, the same in each epoch.

    Args:
        examples: Columns `input_ids` (n arrays), `label` (n; of several labels n arrays) and `index` (n row numbers);
            for pairs `second` (n).
        n_labels: If a text may have several labels, how many there are.
        padding: `pad_token_id` and `max_length`.

    Returns:
        What `collate` returns, `rows` (n,), the row numbers, and `labels`: classes (n,) or 0 and 1 (n, n_labels) in
        int64, or numbers (n,) in float32.
    """
    examples = longest_first(examples, packed)
    batch = collate(examples["input_ids"], packed=packed, seconds=examples.get("second"), **padding)
    batch["rows"] = torch.as_tensor(np.asarray(examples["index"]), dtype=torch.int64)
    if n_labels is None:
        labels = torch.as_tensor(np.asarray(examples["label"]))
        batch["labels"] = labels.float() if labels.is_floating_point() else labels.long()
    else:
        flags = np.zeros((len(batch["rows"]), n_labels), dtype=np.int64)
        for row, label in zip(flags, examples["label"], strict=True):
            row[label] = 1
        batch["labels"] = torch.from_numpy(flags)
    return batch
