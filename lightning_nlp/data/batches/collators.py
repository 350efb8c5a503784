"""Examples become one batch: padding or packing, and masking, as pure functions."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

from lightning_nlp.evaluation import IGNORE_INDEX

PAD_MULTIPLE = 8  # matrix units work on multiples of 8


def pad_sequences(
    sequences: Sequence[np.ndarray], *, padding_value: int, max_length: int | None = None
) -> tuple[Tensor, Tensor]:
    """Pad B arrays of token ids to the longest of them, rounded up to a multiple of 8.

    Args:
        max_length: Never round up beyond this, the model's longest input.

    Returns:
        `input_ids` (B, T) and `attention_mask` (B, T), both int64.
    """
    lengths = np.array([len(sequence) for sequence in sequences])
    longest = int(lengths.max())
    width = -(-longest // PAD_MULTIPLE) * PAD_MULTIPLE
    if max_length is not None:
        width = max(longest, min(width, max_length))
    attention_mask = np.arange(width) < lengths[:, None]
    input_ids = np.full(attention_mask.shape, padding_value, dtype=np.int64)
    input_ids[attention_mask] = np.concatenate(sequences)
    return torch.from_numpy(input_ids), torch.from_numpy(attention_mask.astype(np.int64))


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


def longest_first(sequences: Sequence[np.ndarray]) -> np.ndarray:
    """The order of a packed batch: on a CPU, neighbours of equal length attend in one operation."""
    return np.argsort([-len(sequence) for sequence in sequences], kind="stable")


def mask_noise(seed: int, epoch: int, indices: Sequence[int], lengths: Sequence[int]) -> Tensor:
    """Random numbers for `mask_tokens` that depend on the example and the epoch alone.

    Each example has a stream of its own in a counter-based generator (Philox: Salmon et al. 2011, "Parallel
    random numbers: as easy as 1, 2, 3"), so its mask is the same in whichever batch, worker or process it is
    made, and whether that is padded or packed.

    Args:
        epoch: The epoch, or a constant for evaluation.
        indices: n row numbers.
        lengths: n lengths in tokens, T in all.

    Returns:
        (3, T) float32 in [0, 1), one example after the other.
    """
    philox = np.random.Philox(key=[seed, epoch])
    stream, state = np.random.Generator(philox), philox.state
    noise = []
    for index, length in zip(indices, lengths, strict=True):
        state["state"]["counter"][:] = 0, 0, 0, index
        philox.state = state  # a quarter of the time that a new generator takes
        noise.append(stream.random((3, length), dtype=np.float32))
    return torch.from_numpy(np.concatenate(noise, axis=1))


def mask_tokens(
    input_ids: Tensor,
    noise: Tensor,
    *,
    special_ids: Tensor,
    word_ids: Tensor,
    mask_token_id: int,
    mlm_probability: float = 0.15,
    mask_token_prob: float = 0.8,
    random_token_prob: float = 0.1,
) -> tuple[Tensor, Tensor]:
    """Choose the tokens that the model must predict, and hide them (BERT, Devlin et al. 2019, section 3.1).

    Of the chosen tokens a share becomes [MASK], a share a random word, and the rest stays as it is. Special
    tokens, padding among them, are never chosen.

    Args:
        input_ids: Token ids of any shape.
        noise: (3, *shape) uniform numbers in [0, 1): for choosing, for what to do, for which word.
        special_ids: 1-D ids that are never chosen.
        word_ids: 1-D ids that a random word is drawn from: the vocabulary without the specials.
        mlm_probability: The share of tokens chosen.
        mask_token_prob: The share of the chosen that becomes [MASK].
        random_token_prob: The share of the chosen that becomes a random word.

    Returns:
        The new `input_ids`, and `labels` with the true id where a token was chosen and -100 elsewhere.
    """
    choose, action, word = noise
    chosen = (choose < mlm_probability) & ~torch.isin(input_ids, special_ids)
    labels = torch.where(chosen, input_ids, IGNORE_INDEX)
    random_words = word_ids[(word * len(word_ids)).long().clamp_(max=len(word_ids) - 1)]
    masked = torch.where(chosen & (action < mask_token_prob), mask_token_id, input_ids)
    randomised = chosen & (action >= mask_token_prob) & (action < mask_token_prob + random_token_prob)
    return torch.where(randomised, random_words, masked), labels


def collate_classification(
    examples: dict[str, Any], epoch: int, *, pad_token_id: int, max_length: int, packed: bool = False
) -> dict[str, Any]:
    """Pad or pack labelled examples to one batch.

    Args:
        examples: Columns `input_ids` (n arrays), `label` (n) and `index` (n row numbers).
        epoch: Not used: such a batch is the same in each epoch.
        packed: Whether to pack, longest first.

    Returns:
        `labels` and `rows` (n,), and `input_ids` and `attention_mask` (n, T) or what `packed_batch` gives.
    """
    sequences = examples["input_ids"]
    labels, rows = (torch.as_tensor(np.asarray(examples[name]), dtype=torch.int64) for name in ("label", "index"))
    if packed:
        order = torch.from_numpy(longest_first(sequences))
        return {**packed_batch([sequences[i] for i in order]), "labels": labels[order], "rows": rows[order]}
    input_ids, attention_mask = pad_sequences(sequences, padding_value=pad_token_id, max_length=max_length)
    return {"input_ids": input_ids, "attention_mask": attention_mask, "labels": labels, "rows": rows}


def collate_mlm(
    examples: dict[str, Any],
    epoch: int,
    *,
    pad_token_id: int,
    max_length: int,
    seed: int,
    packed: bool = False,
    **masking: Any,
) -> dict[str, Any]:
    """Pad or pack sentences to one batch and mask it.

    Args:
        examples: Columns `input_ids` (n arrays) and `index` (n row numbers, which choose the mask).
        epoch: The epoch, which chooses the mask too: dynamic masking (RoBERTa, Liu et al. 2019, section 4.1).
        packed: Whether to pack, longest first.
        masking: Keyword arguments of `mask_tokens`.

    Returns:
        `input_ids`, `attention_mask` and `labels`, all (n, T); packed, `labels` (1, T) and what
        `packed_batch` gives. `masked` in both: where the masked tokens are, counted through the rows, so that
        nobody asks the device for it.
    """
    sequences, indices = examples["input_ids"], examples["index"]
    if packed:
        order = longest_first(sequences)
        sequences, indices = [sequences[i] for i in order], [indices[i] for i in order]
    tokens, labels = mask_tokens(
        torch.from_numpy(np.concatenate(sequences).astype(np.int64)),
        mask_noise(seed, epoch, indices, [len(sequence) for sequence in sequences]),
        **masking,
    )
    if packed:
        batch = {**packed_batch(sequences), "input_ids": tokens[None], "labels": labels[None]}
        return batch | {"masked": _masked(labels)}
    input_ids, attention_mask = pad_sequences(sequences, padding_value=pad_token_id, max_length=max_length)
    real = attention_mask.bool()
    padded_labels = torch.full_like(input_ids, IGNORE_INDEX)
    input_ids[real], padded_labels[real] = tokens, labels
    batch = {"input_ids": input_ids, "attention_mask": attention_mask, "labels": padded_labels}
    return batch | {"masked": _masked(padded_labels)}


def _masked(labels: Tensor) -> Tensor:
    return (labels != IGNORE_INDEX).flatten().nonzero().squeeze(1)
