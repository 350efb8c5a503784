"""Parts of a pretrained encoder that are not trained, from the embeddings upwards."""

from typing import Any

from torch import nn

from lightning_nlp.errors import UserError
from lightning_nlp.models.encoder import Frozen
from lightning_nlp.training.flops import encoder_layers


def freeze(network: Any, part: Frozen | None) -> None:
    """Freeze a part of a network: it gets no gradients and no optimizer state.

    Args:
        network: A transformers model with a head; changed in place.
        part: "embeddings"; a number N: those and the first N layers; "encoder": all but the head. The pooler
            counts as part of the head, since many checkpoints lack it. Weights that a head shares with the
            embeddings are frozen too. None freezes nothing.

    Raises:
        UserError: If the architecture has no such part, or fewer layers.
    """
    if part is None:
        return
    kind, count, layers = network.config.model_type, network.config.num_hidden_layers, encoder_layers(network)
    children = dict(network.base_model.named_children())
    if part == "encoder":
        frozen = [module for name, module in children.items() if not name.startswith("pooler")]
    else:
        frozen = [module for name, module in children.items() if name.startswith("embeddings")]
        if not frozen or (layers is None and part != "embeddings"):
            raise UserError(
                f"freeze is {part}, and where {kind} models have that part is unknown: give --model.freeze encoder."
            )
    if isinstance(part, int):
        if not 0 <= part <= count:
            raise UserError(
                f"freeze is {part}, and this {kind} model has {count} layers: give --model.freeze 0 to {count}."
            )
        frozen += list(layers or ())[:part]
    tables = [] if part == "encoder" else [m for m in network.base_model.modules() if isinstance(m, nn.Embedding)]
    for module in frozen + tables:  # MPNet has its relative positions outside the embeddings
        module.requires_grad_(False)
