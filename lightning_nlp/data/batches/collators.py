"""Examples become one batch: padding or packing, as pure functions."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F

from lightning_nlp.evaluation import token_types

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
        seconds: Of pairs, as in `encode`.

    Returns:
        What `packed_batch` gives, or `input_ids` (B, T) and `attention_mask` (B, T), both int64; with `seconds`
        also `token_type_ids` like `input_ids`.
    """
    batch = packed_batch(sequences) if packed else _padded_batch(sequences, pad_token_id, max_length)
    if seconds is not None:
        types = [torch.from_numpy(token_types(len(ids), at)) for ids, at in zip(sequences, seconds, strict=True)]
        types = [torch.cat(types)] if packed else types
        width = batch["input_ids"].shape[1]
        batch["token_type_ids"] = torch.stack([F.pad(part, (0, width - len(part))) for part in types])
    return batch


def _padded_batch(sequences: Sequence[np.ndarray], pad_token_id: int, max_length: int | None) -> dict[str, Any]:
    lengths = np.array([len(sequence) for sequence in sequences])
    longest = int(lengths.max())
    width = -(-longest // PAD_MULTIPLE) * PAD_MULTIPLE
    if max_length is not None:
        width = max(longest, min(width, max_length))
    attention_mask = np.arange(width) < lengths[:, None]
    input_ids = np.full(attention_mask.shape, pad_token_id, dtype=np.int64)
    input_ids[attention_mask] = np.concatenate(sequences)
    mask = torch.from_numpy(attention_mask.astype(np.int64))
    return {"input_ids": torch.from_numpy(input_ids), "attention_mask": mask}


def sequence_order(sequences: Sequence[np.ndarray], packed: bool) -> list[int]:
    """Longest first in a packed batch: on a CPU, neighbours of equal length attend in one operation."""
    return sorted(range(len(sequences)), key=lambda i: -len(sequences[i]) if packed else i)


def collate_classification(
    examples: dict[str, Any], epoch: int, *, packed: bool = False, several: int | None = None, **padding: Any
) -> dict[str, Any]:
    """Pad or pack labelled examples to one batch, the same in each epoch.

    Args:
        examples: Columns `input_ids` (n arrays), `label` (n; of several labels n arrays) and `index` (n row numbers);
            of pairs `second` (n).
        several: How many labels there are, of which a text may have several.
        padding: `pad_token_id` and `max_length`.

    Returns:
        What `collate` gives, `rows` (n,), the row numbers, and `labels`: classes (n,) or 0 and 1 (n, several) in int64,
        or numbers (n,) in float32.
    """
    order = sequence_order(examples["input_ids"], packed)
    seconds = examples["second"][order] if "second" in examples else None
    batch = collate([examples["input_ids"][i] for i in order], packed=packed, seconds=seconds, **padding)
    batch["rows"] = torch.as_tensor(np.asarray(examples["index"])[order], dtype=torch.int64)
    if several is None:
        labels = np.asarray(examples["label"])[order]
        batch["labels"] = torch.as_tensor(labels, dtype=torch.float32 if labels.dtype.kind == "f" else torch.int64)
    else:
        labels = np.zeros((len(order), several), dtype=np.int64)
        for row, i in zip(labels, order, strict=True):
            row[examples["label"][i]] = 1
        batch["labels"] = torch.from_numpy(labels)
    return batch
