"""How good a network's outputs are: pure functions of logits and labels, without a Trainer."""

from typing import Any

import numpy as np

IGNORE_INDEX = -100  # the label that losses and metrics ignore; PyTorch's own default


def counted(labels: Any) -> Any:
    """Mask (N,) of the examples that count: labels, (N,) or (N, labels), not -100 and not NaN."""
    if labels.ndim == 1 and "float" in str(labels.dtype):
        return labels == labels
    return (labels if labels.ndim == 1 else labels[:, 0]) != IGNORE_INDEX


def takes_token_types(network: Any) -> bool:
    """Whether a network tells two texts apart by `token_type_ids`, as BERT, ELECTRA and ALBERT do."""
    return (getattr(network.config, "type_vocab_size", None) or 0) > 1


def token_types(length: int, second: int) -> np.ndarray:
    """The `token_type_ids` (length,) of a pair whose second text begins at `second`; all 0 if negative."""
    return ((np.arange(length) >= second) & (second > 0)).astype(np.int64)
