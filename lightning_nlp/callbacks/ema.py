"""An exponential moving average of the weights, which is validated, saved, tested and exported."""

from typing import Any

import torch
from lightning import Callback, LightningModule, Trainer
from torch.optim.swa_utils import get_ema_multi_avg_fn

from lightning_nlp.callbacks import TRAINED
from lightning_nlp.errors import UserError, check_range
from lightning_nlp.training.schedules import at_whole_step


class WeightAverage(Callback):
    """Averages the trained weights over the steps: average = d * average + (1 - d) * weights after each step.

    At step t, d is min(decay, (1 + t) / (10 + t)), so that the first weights soon lose their influence. The tensors
    are swapped for a validation. A checkpoint's `state_dict` is always the average; a resume reads the weights that
    the optimizer moves from `TRAINED`. (Lightning's EMAWeightAveraging tests the weights that are not averaged.)

    Args:
        decay: How much of the average each step keeps, between 0 and 1; 0.999 averages about 1,000 steps.

    Raises:
        UserError: If the decay is out of range, or the weights have 16 bits, too few to add small changes.
    """

    def __init__(self, decay: float) -> None:
        check_range("--ema_decay", decay, 0, 1, low_open=True, high_open=True)
        self.decay = decay
        self._parameters: list[torch.nn.Parameter] = []
        self._others: list[torch.Tensor] = []  # the average, or while the module holds that, the weights
        self._holds_average = False
        self._restored: dict[str, torch.Tensor] = {}

    def on_load_checkpoint(self, trainer: Trainer, pl_module: LightningModule, checkpoint: dict[str, Any]) -> None:
        if trainer.state.fn == "fit" and TRAINED in checkpoint:
            self._restored = checkpoint["state_dict"]  # the average, which Lightning gives to the module
            pl_module.load_state_dict(checkpoint[TRAINED])

    def on_fit_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        trained = {name: p for name, p in pl_module.named_parameters() if p.requires_grad}
        if any(parameter.dtype != torch.float32 for parameter in trained.values()):
            raise UserError(
                f"--ema_decay needs weights in 32 bits, and --trainer.precision {trainer.precision} keeps them in 16: "
                "give bf16-mixed."
            )
        self._parameters = list(trained.values())
        self._others = [self._restored.get(name, p).detach().to(p.device, copy=True) for name, p in trained.items()]
        self._restored, self._holds_average = {}, False

    def on_train_batch_end(self, trainer: Trainer, *_: Any) -> None:
        if at_whole_step(trainer):
            decay = min(self.decay, (1 + trainer.global_step) / (10 + trainer.global_step))
            get_ema_multi_avg_fn(decay)(self._others, self._parameters, trainer.global_step)

    def on_validation_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        if trainer.state.fn == "fit":
            self._exchange()

    on_validation_end = on_validation_start

    def on_save_checkpoint(self, trainer: Trainer, pl_module: LightningModule, checkpoint: dict[str, Any]) -> None:
        held = checkpoint["state_dict"]
        self._exchange()
        other = pl_module.state_dict()
        self._exchange()
        checkpoint["state_dict"], checkpoint[TRAINED] = (held, other) if self._holds_average else (other, held)

    def _exchange(self) -> None:
        for parameter, other in zip(self._parameters, self._others, strict=True):
            parameter.data, other.data = other.data, parameter.data
        self._holds_average = not self._holds_average
