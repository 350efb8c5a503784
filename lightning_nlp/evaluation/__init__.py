"""What a network's outputs are worth: pure functions of logits and labels, without a Trainer."""

from typing import Any

import numpy as np

IGNORE_INDEX = -100  # the label that neither a loss nor a metric counts: the default of PyTorch's cross_entropy


def counted(labels: Any) -> Any:
    """Which examples count, (N,): labels (N,) or (N, labels) are not -100; numbers are not NaN, any may be a label."""
    if labels.ndim == 1 and "float" in str(labels.dtype):
        return labels == labels
    return (labels if labels.ndim == 1 else labels[:, 0]) != IGNORE_INDEX


def takes_token_types(network: Any) -> bool:
    """Whether a network tells two texts apart by `token_type_ids`, as BERT, ELECTRA and ALBERT do."""
    return (getattr(network.config, "type_vocab_size", None) or 0) > 1


def token_types(length: int, second: int) -> np.ndarray:
    """The `token_type_ids` (length,) of a pair whose second text begins at `second`; 0 throughout if negative."""
    return ((np.arange(length) >= second) & (second > 0)).astype(np.int64)
