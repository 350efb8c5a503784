"""Temperature and thresholds fitted on validation, and how an export stores them."""

import hashlib
import json
import math
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from torch import nn

from lightning_nlp.evaluation.temperature import FEWEST
from lightning_nlp.models.heads import last_layer, rescaled

WHICH = ("best_f1", "wanted")
FITTED_FOR = "fitted_for_last_layer"  # the digest, in an export's config.json


@dataclass(frozen=True)
class Calibration:
    """The temperature and thresholds fitted on the validation split."""

    reason: str = ""  # why no temperature was fitted; empty if one was
    temperature: float = 1.0  # divides the logits
    step: int = 0  # at which the checkpoint was saved and validated
    examples: int = 0
    validation: dict[str, float] = field(default_factory=dict)  # `ece_before`, `ece_after`, `loss_...`
    test: dict[str, float] | None = None  # the same for the test split; None without a record of it
    thresholds: dict[str, dict[str, Any]] = field(default_factory=dict)  # by class, and their figures on `test`

    def for_config(self) -> dict[str, Any]:
        """The entry in an export's config.json."""
        applied = {
            "temperature": self.temperature,
            "applied": "the last layer's weights and bias are divided by it: the model's output is calibrated",
            "fitted_on": "validation",
            "examples": self.examples,
            "step": self.step,
        }
        thresholds = {
            label: {which: choice[which] for which in WHICH if choice[which] is not None}
            for label, choice in self.thresholds.items()
        }
        return ({} if self.temperature == 1 else {"calibration": applied}) | {"thresholds": thresholds}


def calibrate(run_dir: Path, step: int, network: Any) -> Calibration:
    """Read the calibration of the checkpoint saved after `step` from a run's records."""
    if last_layer(network) is None:
        return Calibration(f"the output layer of a {network.config.model_type} model is not known")
    validation = read_record(run_dir, f"val-{step:08d}")
    if validation is None or "by_class" not in validation:
        return Calibration("the run has no record of its best checkpoint on the validation split")
    fitted, test = validation.get("calibration", {"temperature": 1.0}), read_record(run_dir, "test") or {}
    thresholds = {part["label"]: {which: part[which] for which in WHICH} for part in validation["by_class"]}
    for part in test.get("by_class", ()):
        thresholds[part["label"]]["test"] = {which: part[which] for which in WHICH}
    examples = validation["examples"]
    apart = f"the {examples:,} validation examples are classified"
    if "loss_before" not in fitted:
        reason = "each of several labels has its own probability"
    elif fitted["temperature"] != 1:
        reason = ""
    elif examples < FEWEST:
        reason = f"{examples} validation examples are fewer than {FEWEST}"
    elif fitted["loss_before"] >= math.log(max(len(thresholds), 1)):
        reason = f"{apart} no better than by chance"
    else:
        reason = f"{apart} without a mistake, or nearly, so that the best temperature is 0"
    return Calibration(reason, fitted["temperature"], step, examples, fitted, test.get("calibration"), thresholds)


def read_record(run_dir: Path, name: str) -> dict[str, Any] | None:
    """The record of an evaluation: `test`, or `val-` and the step with 8 digits; None if there is none."""
    path = run_dir / "evaluation" / f"{name}.json"
    return json.loads(path.read_text(encoding="utf-8")) if path.is_file() else None


def layer_digest(layer: nn.Linear) -> str:
    """A digest that shows whether a last layer was trained after its calibration."""
    weight = layer.weight.detach().float().cpu().numpy()
    return hashlib.blake2b(weight.tobytes(), digest_size=8).hexdigest()


@contextmanager
def scaled(network: Any, calibration: Calibration) -> Iterator[None]:
    """In this context, divide a classifier's logits by the temperature, and record that in its config.

    Entries of a loaded network's configuration about earlier data are removed in any case.
    """
    config = network.config
    for name in ("calibration", "thresholds", FITTED_FOR):
        if hasattr(config, name):
            delattr(config, name)
    if not calibration.thresholds:
        yield
        return
    layer = last_layer(network)
    assert layer is not None
    with rescaled(layer, calibration.temperature):
        known = calibration.for_config() | {FITTED_FOR: layer_digest(layer)}
        config.update(known)
        try:
            yield
        finally:
            for name in known:
                delattr(config, name)
