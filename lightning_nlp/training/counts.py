"""What a batch consists of: real tokens, pairs of them that attend to each other, sequences and predictions."""

from typing import Any, NamedTuple

from torch import Tensor

from lightning_nlp.evaluation import IGNORE_INDEX


class Counts(NamedTuple):
    """The cost of a batch is linear in these; scalar tensors if known only on the device."""

    tokens: int | Tensor = 0
    pairs: int | Tensor = 0  # of tokens that attend to each other: length^2, summed over the sequences
    near_pairs: int | Tensor = 0  # the same within a sliding window
    sequences: int | Tensor = 0
    head_rows: int | Tensor = 0  # masked tokens, or sequences to classify


def count_batch(batch: dict[str, Any], window: int | None = None) -> Counts:
    """Count a padded or packed batch without waiting for the device; padding counts nothing.

    If `labels` have the shape of `input_ids`, those other than -100 are head rows; otherwise each sequence is one. A
    `window` is the number of tokens that one token sees in a layer with a sliding window.
    """
    input_ids, labels = batch["input_ids"], batch.get("labels")
    if "cu_seqlens" in batch:
        lengths = batch["cu_seqlens"].diff().long()
        tokens: int | Tensor = input_ids.numel()
    else:
        lengths = batch["attention_mask"].sum(-1)
        tokens = lengths.sum()
    head_rows: int | Tensor = len(lengths)
    if labels is not None and labels.shape == input_ids.shape:
        head_rows = (labels != IGNORE_INDEX).sum()
    return Counts(
        tokens=tokens,
        pairs=(lengths * lengths).sum(),
        near_pairs=(lengths * lengths.clamp(max=window)).sum() if window is not None else 0,
        sequences=len(lengths),
        head_rows=head_rows,
    )
