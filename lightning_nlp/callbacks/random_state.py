"""A resumed training draws the random numbers that it would have drawn anyway."""

import random
from typing import Any

import numpy as np
import torch
from lightning import Callback, LightningModule, Trainer


class RandomState(Callback):
    """Saves the state of each process's random number generators, which Lightning does not.

    Dropout uses torch's. Batches and masks depend only on seed, epoch and row.
    """

    _restored: list[dict[str, Any]] | None = None

    def state_dict(self) -> dict[str, Any]:
        """One entry a process: all of them call this, and the first one writes."""
        states, distributed = [generator_states()], torch.distributed
        if distributed.is_available() and distributed.is_initialized():
            states *= distributed.get_world_size()
            distributed.all_gather_object(states, generator_states())
        return {"processes": states}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Keep the states until the training starts: numbers are drawn before that too."""
        self._restored = state_dict["processes"]

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        if self._restored is not None and len(self._restored) == trainer.world_size:
            set_generator_states(self._restored[trainer.global_rank])
        self._restored = None


def generator_states() -> dict[str, Any]:
    """The states of Python's, NumPy's and torch's generators, in types that `torch.load(weights_only=True)` reads."""
    name, keys, *rest = np.random.get_state()
    states: dict[str, Any] = {"python": random.getstate(), "torch": torch.get_rng_state()}
    states["numpy"] = (name, np.asarray(keys).tolist(), *rest)
    if torch.cuda.is_available():
        states["cuda"] = torch.cuda.get_rng_state()
    return states


def set_generator_states(states: dict[str, Any]) -> None:
    """Set what `generator_states` returned; a GPU's only where there is one."""
    version, numbers, gauss = states["python"]
    random.setstate((version, tuple(numbers), gauss))
    name, keys, *rest = states["numpy"]
    np.random.set_state((name, np.array(keys, dtype=np.uint32), *rest))
    torch.set_rng_state(states["torch"].cpu())
    if "cuda" in states and torch.cuda.is_available():
        torch.cuda.set_rng_state(states["cuda"].cpu())
