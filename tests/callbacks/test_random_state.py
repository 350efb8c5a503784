import random

import numpy as np
import torch
from lightning import Trainer

from lightning_nlp.callbacks.random_state import RandomState


def draw() -> tuple[float, float, float]:
    return random.gauss(), float(np.random.normal()), float(torch.rand(()))


def test_they_are_set_when_training_starts_and_not_before(tmp_path):
    draw()  # of two numbers drawn at once, the generators keep the second
    torch.save(RandomState().state_dict(), tmp_path / "state")
    expected = [draw() for _ in range(3)]
    callback = RandomState()
    callback.load_state_dict(torch.load(tmp_path / "state", weights_only=True))
    assert [draw() for _ in range(3)] != expected
    trainer = Trainer(accelerator="cpu", logger=False, enable_checkpointing=False, enable_progress_bar=False)
    callback.on_train_start(trainer, None)
    assert [draw() for _ in range(3)] == expected
    callback.on_train_start(trainer, None)
    assert [draw() for _ in range(3)] != expected, "only the first start after a resume"


def test_another_number_of_processes_draws_its_own():
    state, expected = RandomState().state_dict(), draw()
    callback = RandomState()
    callback.load_state_dict({"processes": state["processes"] * 2})
    callback.on_train_start(Trainer(accelerator="cpu", logger=False, enable_checkpointing=False), None)
    assert draw() != expected
