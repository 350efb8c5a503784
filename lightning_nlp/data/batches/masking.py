"""Masking: which tokens a language model must predict, as pure functions."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

from lightning_nlp.data.batches.collators import collate, longest_first, per_token
from lightning_nlp.evaluation import IGNORE_INDEX


def mask_noise(seed: int, epoch: int, indices: Sequence[int], lengths: Sequence[int]) -> Tensor:
    """Random numbers for `mask_tokens` that depend only on the seed, the epoch and the example.

    Each example has its own stream of a counter-based generator (Philox: Salmon et al. 2011, "Parallel random
    numbers: as easy as 1, 2, 3"), so batch, worker, process and packing don't change its mask.

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
        philox.state = state  # four times as fast as a new generator
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

    Args:
        input_ids: Token ids of any shape.
        noise: (3, *shape) uniform numbers in [0, 1): for choosing, for what to do, for which word.
        special_ids: 1-D ids that are never chosen, padding among them.
        word_ids: 1-D ids that a random word is drawn from: the vocabulary without the specials.
        mlm_probability: The share of tokens chosen.
        mask_token_prob: The share of the chosen that becomes [MASK].
        random_token_prob: The share of the chosen that becomes a random word; the rest stays.

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
        epoch: Chooses the mask too: dynamic masking (RoBERTa, Liu et al. 2019, section 4.1).
        masking: Keyword arguments of `mask_tokens`.

    Returns:
        What `collate` returns, `labels` like `input_ids`, and `masked`, where the masked tokens are in the flattened
        batch, so that nobody has to ask the device.
    """
    examples = longest_first(examples, packed)
    lengths = [len(ids) for ids in examples["input_ids"]]
    noise = mask_noise(seed, epoch, examples["index"], lengths)
    tokens = torch.from_numpy(np.concatenate(examples["input_ids"]).astype(np.int64))
    tokens, labels = mask_tokens(tokens, noise, **masking)
    parts = np.split(tokens.numpy(), np.cumsum(lengths)[:-1])
    batch = collate(parts, packed=packed, pad_token_id=pad_token_id, max_length=max_length)
    batch["labels"] = per_token(batch, labels)
    return batch | {"masked": (batch["labels"] != IGNORE_INDEX).flatten().nonzero().squeeze(1)}
