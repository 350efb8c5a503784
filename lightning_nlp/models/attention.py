"""Attention within the sequences of a packed batch, as transformers' attention interface calls it."""

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

# Up to these lengths three plain operations beat the fused kernel on a CPU (benchmarks/README.md)
LONGEST_PLAIN_16_BITS = 512
LONGEST_PLAIN_32_BITS = 128
LONGEST_PLAIN_INFERENCE = 32

# Sequences of up to SHORT tokens share a rectangle with those up to SLACK tokens longer: fewer operations
# save more than padding costs. Longer ones are rounded up to a multiple of STEP, and AREA bounds length^2
# over a rectangle: attention weights of few sizes reuse memory (benchmarks/README.md).
SHORT = 128
SLACK = 8
STEP = 32
AREA = 512**2


class Rectangle(NamedTuple):
    """Neighbouring sequences of a packed batch whose attention is computed as one dense batch on a CPU."""

    number: int  # of sequences
    width: int  # of the longest
    past_end: Tensor | None  # (number, 1, 1, width): true past the end of a sequence; None if all are as long


class Layout(NamedTuple):
    """Where the sequences of a packed batch are; computed once for all layers."""

    cu_seqlens: Tensor  # (n + 1,) int32: where each begins, and the end of the last
    max_seqlen: int
    # on a CPU:
    rectangles: Sequence[Rectangle] = ()
    token_of: Any = None  # for each place in the rectangles, its token
    place_of: Any = None  # for each token, its place


def layout_of(cu_seqlens: Tensor, max_seqlen: int, tokens: int) -> Layout:
    """The layout of a batch of `tokens`; on a CPU the last ones may be padding, whose output means nothing."""
    on_host = () if cu_seqlens.is_cuda else rectangles(cu_seqlens.numpy(), tokens)
    return Layout(cu_seqlens, max_seqlen, *on_host)


def attention(
    module: nn.Module,
    query: Tensor,
    key: Tensor,
    value: Tensor,
    attention_mask: Tensor | None,
    dropout: float = 0.0,
    scaling: float | None = None,
    sliding_window: int | None = None,
    layout: Layout | None = None,
    **kwargs: Any,
) -> tuple[Tensor, None]:
    """Attention as transformers calls it, within the sequences of a packed batch; without `layout`, PyTorch's.

    Args:
        query: (1, heads, tokens, head_dim), as are key and value.
        sliding_window: Tokens attend to those less than this far away; None for the whole sequence.

    Returns (1, tokens, heads, head_dim), and None for the weights.
    """
    if layout is None:
        from transformers.integrations.sdpa_attention import sdpa_attention_forward

        return sdpa_attention_forward(
            module, query, key, value, attention_mask, dropout=dropout, scaling=scaling, **kwargs
        )
    query, key, value = (x[0].transpose(0, 1).to(value.dtype) for x in (query, key, value))  # (tokens, heads, head_dim)
    scale = query.shape[-1] ** -0.5 if scaling is None else scaling
    if layout.cu_seqlens.is_cuda:
        from torch.nn.attention.varlen import varlen_attn

        reach = -1 if sliding_window is None else sliding_window - 1  # flash attention counts inclusively
        bounds, longest, window = layout.cu_seqlens, layout.max_seqlen, (reach, reach)
        output: Any = varlen_attn(query, key, value, bounds, bounds, longest, longest, scale=scale, window_size=window)
    else:
        output = _in_rectangles(query * scale, key, value, layout, dropout, sliding_window)
    return output.unsqueeze(0), None


def _in_rectangles(
    query: Tensor, key: Tensor, value: Tensor, layout: Layout, dropout: float, sliding_window: int | None
) -> Tensor:
    sizes = [number * width for number, width, _ in layout.rectangles]
    longest_plain = LONGEST_PLAIN_16_BITS if value.element_size() == 2 else LONGEST_PLAIN_32_BITS
    if not torch.is_grad_enabled():
        longest_plain = LONGEST_PLAIN_INFERENCE
    inputs = (x.index_select(0, layout.token_of) for x in (query, key, value))
    outputs = []  # `split`, not slices, whose backward pass fills a whole tensor with zeros each
    for (number, width, past_end), *parts in zip(layout.rectangles, *(x.split(sizes) for x in inputs), strict=True):
        q, k, v = (part.unflatten(0, (number, width)).transpose(1, 2) for part in parts)  # (number, heads, width, _)
        hidden = past_end
        if sliding_window is not None and width > sliding_window:
            row = torch.arange(width, device=q.device)
            far = (row[:, None] - row).abs() >= sliding_window
            hidden = far if hidden is None else hidden | far
        bias = None
        if hidden is not None:
            # Added, since the backward pass of an addition is free. Not -inf: a position past the end may
            # have nothing within its window, and the NaN would spread in the backward pass.
            bias = torch.zeros_like(hidden, dtype=q.dtype).masked_fill_(hidden, torch.finfo(q.dtype).min)
        if dropout or width <= longest_plain:  # with dropout the fused kernel falls back to plain operations too
            scores = q @ k.transpose(-1, -2)
            weights = (scores if bias is None else scores.add_(bias)).softmax(-1)
            mixed = (F.dropout(weights, dropout) if dropout else weights) @ v
        else:
            mixed = F.scaled_dot_product_attention(q, k, v, attn_mask=bias, scale=1.0)
        outputs.append(mixed.transpose(1, 2).flatten(0, 1))
    return torch.cat(outputs).index_select(0, layout.place_of)


def rectangles(cu_seqlens: np.ndarray, tokens: int) -> tuple[list[Rectangle], Tensor, Tensor]:
    """Cut a packed batch, its longest sequences first, into rectangles of about equal lengths.

    Returns them, `token_of` (past the end of a sequence its first token) and `place_of` (0 for padding).
    """
    starts, lengths = cu_seqlens[:-1], np.diff(cu_seqlens)
    found: list[Rectangle] = []
    token_of, place_of, taken, first = [], [], 0, 0
    while first < len(lengths):
        width = int(lengths[first])
        least, end = width - SLACK, len(lengths)  # the shortest that may join it, and where it ends at the latest
        if width > SHORT:
            width = -(-width // STEP) * STEP
            least, end = width - STEP + 1, min(end, first + max(1, AREA // width**2))
        last = first + 1
        while last < end and least <= lengths[last] <= width:
            last += 1
        row = np.arange(width)
        inside = row < lengths[first:last, None]
        token_of.append(np.where(inside, starts[first:last, None] + row, starts[first:last, None]).ravel())
        place_of.append(taken + inside.ravel().nonzero()[0])
        taken += inside.size
        past_end = None if inside.all() else torch.from_numpy(~inside)[:, None, None, :]
        found.append(Rectangle(last - first, width, past_end))
        first = last
    place_of.append(np.zeros(tokens - cu_seqlens[-1], dtype=np.int64))
    return found, torch.from_numpy(np.concatenate(token_of)), torch.from_numpy(np.concatenate(place_of))
