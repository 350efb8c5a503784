"""The floating-point operations that a model needs for a batch, counted from its layers for real tokens only."""

from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from lightning_nlp.evaluation import IGNORE_INDEX

# The count equals what PyTorch executes (tests/training/test_flops.py). Others may run a layer more than once
# (ALBERT), or multiply matrices outside Linear layers (DeBERTa).
COUNTED = frozenset("distilbert bert roberta xlm-roberta camembert electra mpnet modernbert".split())


class Counts(NamedTuple):
    """What a batch costs is linear in these; scalar tensors if known only on the device."""

    tokens: int | Tensor = 0
    pairs: int | Tensor = 0  # of tokens that attend to each other: length^2, summed over the sequences
    near_pairs: int | Tensor = 0  # the same within a sliding window
    sequences: int | Tensor = 0
    head_rows: int | Tensor = 0  # masked tokens, or sequences to classify


class Costs(NamedTuple):
    """Operations of training, forward and backward, for one of each of `Counts`."""

    token: int
    pair: int
    near_pair: int
    sequence: int
    head_row: int
    window: int | None  # tokens that one token sees in a layer with a sliding window


def training_costs(network: Any) -> Costs | None:
    """What training costs, from the layers of a network; None if its architecture is not `COUNTED`.

    A Linear layer costs 2 * in * out a row: a token inside the encoder, a sequence in its pooler, a head row
    outside it. Attention costs 4 * width for each pair of tokens and layer. Lookups, norms, activations and
    softmax count nothing (PaLM, arXiv:2204.02311, appendix B). The backward pass costs as much again for a
    layer's weights, if they are trained, and for its input, if something before it is.
    """
    config = network.config
    if config.model_type not in COUNTED:
        return None
    encoder = network.base_model
    inside, pooler = set(encoder.modules()), getattr(encoder, "pooler", None)
    pooling = set(pooler.modules()) if pooler is not None else set()
    behind = _behind_trained(network)
    passes = {m: 1 + m.weight.requires_grad + (m in behind) for m in network.modules() if isinstance(m, nn.Linear)}
    token = sequence = head_row = 0
    for module, times in passes.items():
        cost = times * 2 * module.in_features * module.out_features
        if module in pooling:
            sequence += cost
        elif module in inside:
            token += cost
        else:
            head_row += cost
    pair = {"full_attention": 0, "sliding_attention": 0}
    kinds = getattr(config, "layer_types", None) or ["full_attention"] * config.num_hidden_layers
    for layer, kind in zip(encoder_layers(network) or (), kinds, strict=True):
        trained = any(times > 1 for module, times in passes.items() if module in set(layer.modules()))
        pair[kind] += (3 if trained else 1) * 4 * config.hidden_size
    return Costs(
        token=token,
        pair=pair["full_attention"],
        near_pair=pair["sliding_attention"],
        sequence=sequence,
        head_row=head_row,
        window=2 * config.sliding_window + 1 if "sliding_attention" in kinds else None,
    )


def encoder_layers(network: Any) -> nn.ModuleList | None:
    """The layers of a network's encoder, the lowest first; None if they cannot be found."""
    lists = [module for module in network.base_model.modules() if isinstance(module, nn.ModuleList)]
    stacks = [module for module in lists if len(module) == network.config.num_hidden_layers]
    return stacks[0] if len(stacks) == 1 else None


def _behind_trained(network: Any) -> set[nn.Module]:
    """The Linear layers whose input has a gradient; if parts are frozen, a pass over two tokens shows which."""
    linear: set[nn.Module] = {module for module in network.modules() if isinstance(module, nn.Linear)}
    if all(parameter.requires_grad for parameter in network.parameters()):
        return linear
    found: set[nn.Module] = set()

    def note(module: nn.Module, inputs: tuple[Tensor]) -> None:
        if inputs[0].requires_grad:
            found.add(module)

    hooks = [module.register_forward_pre_hook(note) for module in linear]
    training, tokens = network.training, torch.ones((1, 2), dtype=torch.long, device=network.device)
    network.eval()(input_ids=tokens, attention_mask=tokens)  # without dropout, which would draw random numbers
    network.train(training)
    for hook in hooks:
        hook.remove()
    return found


def count_batch(batch: dict[str, Any], window: int | None = None) -> Counts:
    """Count a batch without waiting for the device; padding counts nothing.

    Args:
        batch: Padded or packed. If `labels` have the shape of `input_ids`, those other than -100 are head
            rows; otherwise each sequence is one.
        window: `Costs.window`.
    """
    input_ids, labels = batch["input_ids"], batch.get("labels")
    tokens: int | Tensor
    if "cu_seqlens" in batch:
        lengths = batch["cu_seqlens"].diff().long()
        tokens, sequences = input_ids.numel(), len(lengths)
    else:
        lengths = batch["attention_mask"].sum(-1)
        tokens, sequences = lengths.sum(), len(input_ids)
    head_rows: int | Tensor = sequences
    if labels is not None and labels.shape == input_ids.shape:
        head_rows = (labels != IGNORE_INDEX).sum()
    return Counts(
        tokens=tokens,
        pairs=(lengths * lengths).sum(),
        near_pairs=(lengths * lengths.clamp(max=window)).sum() if window is not None else 0,
        sequences=sequences,
        head_rows=head_rows,
    )


def training_flops(costs: Costs, counts: Counts) -> int:
    """The operations of training on these counts; reading tensors waits for their device."""
    return sum(cost * int(count) for cost, count in zip(costs[:5], counts, strict=True))
