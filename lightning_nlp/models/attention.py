"""Attention within the sequences of a packed batch, as transformers' attention interface calls it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from itertools import groupby
from typing import Any, NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

# On a CPU three plain operations beat the fused kernel for sequences up to so many tokens (benchmarks/README.md): its
# backward pass is slow on small blocks. Plain ones keep the attention weights, length^2 numbers a head.
LONGEST_PLAIN_16_BITS = 512
LONGEST_PLAIN_32_BITS = 128
LONGEST_PLAIN_INFERENCE = 32


class Layout(NamedTuple):
    """Where the sequences of a packed batch are."""

    cu_seqlens: Tensor  # (n + 1,) int32: where each begins, and the end of the last
    max_seqlen: int
    lengths: list[int] | None  # on the host; None on CUDA, where asking for them would wait for the device


_layout: Layout | None = None  # of the batch that is computed at the moment


@contextmanager
def sequences(cu_seqlens: Tensor, max_seqlen: int) -> Iterator[None]:
    """Within this context, attention stays within the sequences of a packed batch.

    The layout lies beside the network because not every model hands further arguments down to its attention.

    Args:
        cu_seqlens: (n + 1,) int32.
        max_seqlen: The length of the longest.
    """
    global _layout
    assert _layout is None, "one packed batch at a time"
    lengths = None if cu_seqlens.is_cuda else cu_seqlens.diff().tolist()
    _layout = Layout(cu_seqlens, max_seqlen, lengths)
    try:
        yield
    finally:
        _layout = None


def attention_mask(*args: Any, **kwargs: Any) -> Tensor | None:
    """The mask that transformers makes for a batch: none for a packed one."""
    from transformers.masking_utils import sdpa_mask

    return sdpa_mask(*args, **kwargs) if _layout is None else None


def attention(
    module: nn.Module,
    query: Tensor,
    key: Tensor,
    value: Tensor,
    attention_mask: Tensor | None,
    dropout: float = 0.0,
    scaling: float | None = None,
    sliding_window: int | None = None,
    **kwargs: Any,
) -> tuple[Tensor, None]:
    """Attention as transformers calls it, within the sequences of the batch.

    Args:
        module: The layer.
        query: (1, heads, tokens, head_dim), as are key and value.
        key: As query.
        value: As query.
        attention_mask: Only for a padded batch.
        dropout: The rate on attention weights.
        scaling: Of the scores.
        sliding_window: Tokens attend to those less than this far away; None for all of the sequence.
        **kwargs: For a padded batch.

    Returns:
        (1, tokens, heads, head_dim), and None for the weights.
    """
    if _layout is None:
        from transformers.integrations.sdpa_attention import sdpa_attention_forward

        return sdpa_attention_forward(
            module, query, key, value, attention_mask, dropout=dropout, scaling=scaling, **kwargs
        )
    query, key, value = (x[0].transpose(0, 1) for x in (query, key.to(value.dtype), value))  # (tokens, heads, head_dim)
    scale = query.shape[-1] ** -0.5 if scaling is None else scaling
    if _layout.lengths is None:
        output = _flash(query.to(value.dtype), key, value, _layout, scale, sliding_window)
    else:
        output = _by_length(query.to(value.dtype), key, value, _layout.lengths, scale, dropout, sliding_window)
    return output.unsqueeze(0), None


def _flash(
    query: Tensor, key: Tensor, value: Tensor, layout: Layout, scale: float, sliding_window: int | None
) -> Tensor:
    """PyTorch's variable-length flash attention, on CUDA."""
    from torch.nn.attention.varlen import varlen_attn

    reach = -1 if sliding_window is None else sliding_window - 1  # flash attention counts inclusively
    bounds, longest = layout.cu_seqlens, layout.max_seqlen
    output = varlen_attn(query, key, value, bounds, bounds, longest, longest, scale=scale, window_size=(reach, reach))
    assert isinstance(output, Tensor)
    return output


def _by_length(
    query: Tensor,
    key: Tensor,
    value: Tensor,
    lengths: list[int],
    scale: float,
    dropout: float,
    sliding_window: int | None,
) -> Tensor:
    """Attention on a CPU: neighbours of equal length make one dense batch, without a copy and without a mask.

    `split` rather than slices: the backward pass of a slice fills a whole tensor with zeros for each of them.
    """
    runs = [(length, len(list(run))) for length, run in groupby(lengths)]
    sizes = [length * number for length, number in runs]
    longest_plain = LONGEST_PLAIN_16_BITS if value.element_size() == 2 else LONGEST_PLAIN_32_BITS
    if not torch.is_grad_enabled():
        longest_plain = LONGEST_PLAIN_INFERENCE
    outputs = []
    for (length, number), *parts in zip(
        runs, (query * scale).split(sizes), key.split(sizes), value.split(sizes), strict=True
    ):
        q, k, v = (part.unflatten(0, (number, length)).transpose(1, 2) for part in parts)  # (number, heads, length, _)
        far = None
        if sliding_window is not None and length > sliding_window:
            places = torch.arange(length, device=q.device)
            far = (places[:, None] - places).abs() >= sliding_window
        if dropout or length <= longest_plain:  # with dropout the fused kernel falls back to plain operations too
            scores = q @ k.transpose(-1, -2)
            weights = (scores if far is None else scores.masked_fill(far, -torch.inf)).softmax(-1)
            mixed = (F.dropout(weights, dropout) if dropout else weights) @ v
        else:
            near = None if far is None else ~far
            mixed = F.scaled_dot_product_attention(q, k, v, attn_mask=near, scale=1.0)
        outputs.append(mixed.transpose(1, 2).flatten(0, 1))
    return torch.cat(outputs)
