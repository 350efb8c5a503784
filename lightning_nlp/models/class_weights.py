"""The weights of classes, or of labels, in a classifier's training loss."""

from typing import Any, Literal

import torch
from torch import Tensor

from lightning_nlp.errors import UserError, check_range

Weights = Literal["balanced"] | list[float]


def check_class_weights(setting: Weights) -> None:
    """Raise a UserError for weights that no data can have."""
    if isinstance(setting, str):
        if setting != "balanced":
            raise UserError(f"class_weights is {setting!r}: give --model.class_weights balanced, or a list.")
        return
    for weight in setting:
        check_range("--model.class_weights", weight, 0)
    if not any(setting):
        raise UserError(f"class_weights is {setting}, all 0: change --model.class_weights.")


def class_weights(setting: Weights, facts: dict[str, Any], names: list[str]) -> Tensor:
    """The weights, (names,); `facts` are the data's `label_facts`.

    Raises:
        UserError: If their number is not that of the names, or the data have no counts to balance.
    """
    if not isinstance(setting, str):
        if len(setting) != len(names):
            raise UserError(
                f"class_weights has {len(setting)} weights for {len(names)} classes ({', '.join(names)}): "
                "give --model.class_weights one for each."
            )
        return torch.tensor(setting, dtype=torch.float32)
    counts = facts.get("class_counts")
    if counts is None:
        raise UserError("class_weights balanced needs a data module to count: give --model.class_weights a list.")
    if 0 in counts:
        raise UserError(
            f"No training example has the label {names[counts.index(0)]!r}, so its balanced weight is "
            "infinite: give --model.class_weights a list or null."
        )
    rows = facts.get("rows", sum(counts))
    if facts.get("problem") == "labels":
        return torch.tensor([(rows - count) / count for count in counts])
    return torch.tensor([rows / (len(names) * count) for count in counts])
