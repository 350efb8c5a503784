"""Examples become one batch: padding and masking, as pure functions."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

IGNORE_INDEX = -100  # PyTorch's cross_entropy leaves such labels out
PAD_MULTIPLE = 8  # matrix units work on multiples of 8


def pad_sequences(
    sequences: Sequence[np.ndarray],
    *,
    padding_value: int,
    max_length: int | None = None,
    multiple_of: int = PAD_MULTIPLE,
) -> tuple[Tensor, Tensor]:
    """Pad token ids to the longest of them, rounded up.

    Args:
        sequences: B arrays of token ids.
        padding_value: The id of the padding token.
        max_length: Never round up beyond this, the model's longest input.
        multiple_of: Round the width T up to a multiple of this.

    Returns:
        `input_ids` (B, T) and `attention_mask` (B, T), both int64.
    """
    lengths = np.array([len(sequence) for sequence in sequences])
    longest = int(lengths.max())
    width = -(-longest // multiple_of) * multiple_of
    if max_length is not None:
        width = max(longest, min(width, max_length))
    attention_mask = np.arange(width) < lengths[:, None]
    input_ids = np.full(attention_mask.shape, padding_value, dtype=np.int64)
    input_ids[attention_mask] = np.concatenate(sequences)
    return torch.from_numpy(input_ids), torch.from_numpy(attention_mask.astype(np.int64))


def mask_noise(seed: int, epoch: int, indices: Sequence[int], lengths: Sequence[int], width: int) -> Tensor:
    """Random numbers for `mask_tokens` that depend on the example and the epoch alone.

    Each example has a stream of its own in a counter-based generator (Philox: Salmon et al. 2011, "Parallel random
    numbers: as easy as 1, 2, 3"), so its mask is the same in whichever batch, worker or process it is made.

    Args:
        seed: The run's seed.
        epoch: The epoch, or a constant for evaluation.
        indices: B row numbers.
        lengths: B lengths in tokens.
        width: T, at least the largest length.

    Returns:
        (3, B, T) float32 in [0, 1); 1 beyond an example's length.
    """
    noise = np.ones((3, len(indices), width), dtype=np.float32)
    for row, (index, length) in enumerate(zip(indices, lengths, strict=True)):
        stream = np.random.Generator(np.random.Philox(key=[seed, epoch], counter=[0, 0, 0, index]))
        noise[:, row, :length] = stream.random((3, length), dtype=np.float32)
    return torch.from_numpy(noise)


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

    Of the chosen tokens a share becomes [MASK], a share a random word, and the rest stays as it is. Special tokens,
    padding among them, are never chosen.

    Args:
        input_ids: Token ids of any shape.
        noise: (3, *shape) uniform numbers in [0, 1): for choosing, for what to do, for which word.
        special_ids: 1-D ids that are never chosen.
        word_ids: 1-D ids that a random word is drawn from: the vocabulary without the specials.
        mask_token_id: The id of [MASK].
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
    examples: dict[str, Any], epoch: int, *, pad_token_id: int, max_length: int
) -> dict[str, Tensor]:
    """Pad labelled examples to one batch.

    Args:
        examples: Columns `input_ids` (B arrays) and `label` (B).
        epoch: Not used: a padded batch is the same in each epoch.
        pad_token_id: The id of the padding token.
        max_length: The model's longest input, in tokens.

    Returns:
        `input_ids` and `attention_mask` (B, T), `labels` (B).
    """
    input_ids, attention_mask = pad_sequences(examples["input_ids"], padding_value=pad_token_id, max_length=max_length)
    labels = torch.as_tensor(np.asarray(examples["label"]), dtype=torch.int64)
    return {"input_ids": input_ids, "attention_mask": attention_mask, "labels": labels}


def collate_mlm(
    examples: dict[str, Any],
    epoch: int,
    *,
    pad_token_id: int,
    max_length: int,
    seed: int,
    special_ids: Tensor,
    word_ids: Tensor,
    mask_token_id: int,
    mlm_probability: float = 0.15,
    mask_token_prob: float = 0.8,
    random_token_prob: float = 0.1,
) -> dict[str, Tensor]:
    """Pad sentences to one batch and mask it.

    Args:
        examples: Columns `input_ids` (B arrays) and `index` (B row numbers, which choose the mask).
        epoch: The epoch, which chooses the mask too: dynamic masking (RoBERTa, Liu et al. 2019, section 4.1).
        pad_token_id: The id of the padding token.
        max_length: The model's longest input, in tokens.
        seed: The run's seed.
        special_ids: As in `mask_tokens`; so are the arguments below.
        word_ids: As in `mask_tokens`.
        mask_token_id: As in `mask_tokens`.
        mlm_probability: As in `mask_tokens`.
        mask_token_prob: As in `mask_tokens`.
        random_token_prob: As in `mask_tokens`.

    Returns:
        `input_ids`, `attention_mask` and `labels`, all (B, T).
    """
    sequences = examples["input_ids"]
    input_ids, attention_mask = pad_sequences(sequences, padding_value=pad_token_id, max_length=max_length)
    noise = mask_noise(seed, epoch, examples["index"], [len(s) for s in sequences], input_ids.shape[1])
    input_ids, labels = mask_tokens(
        input_ids,
        noise,
        special_ids=special_ids,
        word_ids=word_ids,
        mask_token_id=mask_token_id,
        mlm_probability=mlm_probability,
        mask_token_prob=mask_token_prob,
        random_token_prob=random_token_prob,
    )
    return {"input_ids": input_ids, "attention_mask": attention_mask, "labels": labels}
