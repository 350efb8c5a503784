"""A classifier's last layer and its labels; the positions that a masked language model predicts."""

from collections.abc import Collection, Iterator
from contextlib import contextmanager
from typing import Any

from lightning.pytorch.utilities import rank_zero_info
from torch import Tensor, nn

from lightning_nlp.errors import UserError
from lightning_nlp.evaluation import IGNORE_INDEX

# The layer whose outputs are the logits, where a test shows that dividing its weights divides them.
LAST_LAYERS = {
    **dict.fromkeys(("distilbert", "bert", "modernbert", "albert", "deberta", "deberta-v2"), "classifier"),
    **dict.fromkeys(("roberta", "electra", "xlm-roberta", "camembert", "mpnet"), "classifier.out_proj"),
}


def last_layer(network: Any) -> nn.Linear | None:
    """The layer whose outputs are a classifier's logits; None if unknown."""
    name = LAST_LAYERS.get(network.config.model_type)
    layer = dict(network.named_modules()).get(name) if name else None
    return layer if isinstance(layer, nn.Linear) else None


def new_weights(layer: nn.Linear, config: Any) -> None:
    """Initialise a layer like transformers."""
    nn.init.normal_(layer.weight, std=getattr(config, "initializer_range", 0.02))
    nn.init.zeros_(layer.bias)


@contextmanager
def rescaled(layer: nn.Linear, divisor: float, shift: float = 0.0) -> Iterator[None]:
    """In this context, divide a layer's output and then shift it, by changing its weights."""
    kept = [(name, parameter, parameter.data) for name, parameter in layer.named_parameters()]
    for name, parameter, value in kept:
        parameter.data = (value.double() / divisor + (shift if name == "bias" else 0.0)).to(value.dtype)
    try:
        yield
    finally:
        for _, parameter, value in kept:
            parameter.data = value


def match_head(
    network: Any, name: str, theirs: list[str], ours: list[str], *, new: Collection[str], keep: bool
) -> None:
    """Order the rows of a pretrained classifier's last layer by the data's labels, or reinitialise the layer.

    Names are compared case-insensitively. A line reports the result.

    Args:
        network: Just loaded; changed in place.
        name: Where it was loaded from.
        theirs: The names of its classes, in the order of the rows.
        ours: Those of the data.
        new: The weights missing from the checkpoint.
        keep: Keep the rows in their order if the names differ (they may be LABEL_0 etc.).

    Raises:
        UserError: If rows are to be kept but their number differs from that of the classes.
    """
    layers = {path: module for path, module in network.named_modules() if isinstance(module, nn.Linear)}
    path = LAST_LAYERS.get(network.config.model_type, "")
    path = path if path in layers else list(layers)[-1]
    if f"{path}.weight" in new:
        if keep:
            raise UserError(f"{name} has no head for {len(ours)} classes: leave out --model.keep_head.")
        return
    rows = {str(label).strip().casefold(): row for row, label in enumerate(theirs)}
    wanted = [str(label).strip().casefold() for label in ours]
    there, here = (", ".join(map(str, labels[:4])) + (", ..." if len(labels) > 4 else "") for labels in (theirs, ours))
    if sorted(rows) == sorted(wanted):
        for parameter in layers[path].parameters():
            parameter.data = parameter.data[[rows[label] for label in wanted]]
        rank_zero_info(f"{name} has a head for these labels: its rows are matched by name.")
    elif keep:
        rank_zero_info(f"The head of {name} is kept by position (--model.keep_head): {there} become {here}.")
    else:
        new_weights(layers[path], network.config)
        rank_zero_info(
            f"The head of {name} is for {there}, and the labels are {here}: its last layer is new. If they are the "
            "same classes in the same order, --model.keep_head true keeps it."
        )


def masked_positions(labels: Tensor) -> Tensor:
    """The positions (n,) of a batch's n labelled tokens in its flattened (B, T) labels."""
    return (labels != IGNORE_INDEX).flatten().nonzero().squeeze(1)
