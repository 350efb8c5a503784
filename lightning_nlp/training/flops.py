"""The floating-point operations of training, counted from the model's layers for real tokens only."""

from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from lightning_nlp.training.counts import Counts

# The count equals what PyTorch executes (tests/training/test_flops.py). Other networks may run a layer more than once
# (ALBERT), or multiply matrices outside Linear layers (DeBERTa).
COUNTED = frozenset("distilbert bert roberta xlm-roberta camembert electra mpnet modernbert".split())


class Costs(NamedTuple):
    """Operations of training, forward and backward, per unit of each of `Counts`."""

    token: int
    pair: int
    near_pair: int
    sequence: int
    head_row: int
    window: int | None  # tokens that a token attends to in a layer with a sliding window


def training_costs(network: Any) -> Costs | None:
    """The costs of training a network, from its layers; None if its architecture is not `COUNTED`.

    A Linear layer costs 2 * in * out per row: a token inside the encoder, a sequence in its pooler, a head row
    outside it. Attention costs 4 * width per pair of tokens and layer. Lookups, norms, activations and softmax
    are not counted (PaLM, arXiv:2204.02311, appendix B). The backward pass costs the same again for a layer's
    weights, if they are trained, and for its input, if something before it is.
    """
    config = network.config
    if config.model_type not in COUNTED:
        return None
    encoder, behind = network.base_model, _behind_trained(network)
    pooler = getattr(encoder, "pooler", None)
    inside, pooling = set(encoder.modules()), set(pooler.modules()) if pooler is not None else set()
    linear: list[Any] = [module for module in network.modules() if isinstance(module, nn.Linear)]
    passes = {module: 1 + module.weight.requires_grad + (module in behind) for module in linear}
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
        trained = any(passes.get(module, 0) > 1 for module in layer.modules())
        pair[kind] += (3 if trained else 1) * 4 * config.hidden_size
    window = 2 * config.sliding_window + 1 if "sliding_attention" in kinds else None
    return Costs(token, pair["full_attention"], pair["sliding_attention"], sequence, head_row, window)


def encoder_layers(network: Any) -> nn.ModuleList | None:
    """The layers of a network's encoder, lowest first; None if unknown."""
    lists = [module for module in network.base_model.modules() if isinstance(module, nn.ModuleList)]
    stacks = [module for module in lists if len(module) == network.config.num_hidden_layers]
    return stacks[0] if len(stacks) == 1 else None


def _behind_trained(network: Any) -> set[nn.Module]:
    """The Linear layers whose input has a gradient; if parts are frozen, a pass over two tokens shows which."""
    linear: set[nn.Module] = {module for module in network.modules() if isinstance(module, nn.Linear)}
    if all(parameter.requires_grad for parameter in network.parameters()):
        return linear
    behind: set[nn.Module] = set()

    def note(module: nn.Module, inputs: tuple[Tensor]) -> None:
        if inputs[0].requires_grad:
            behind.add(module)

    hooks = [module.register_forward_pre_hook(note) for module in linear]
    training, tokens = network.training, torch.ones((1, 2), dtype=torch.long, device=network.device)
    network.eval()(input_ids=tokens, attention_mask=tokens)  # without dropout, which would draw random numbers
    network.train(training)
    for hook in hooks:
        hook.remove()
    return behind


def training_flops(costs: Costs, counts: Counts) -> int:
    """The operations of training on these counts; reading tensors synchronizes with their device."""
    return sum(cost * int(count) for cost, count in zip(costs[:5], counts, strict=True))
