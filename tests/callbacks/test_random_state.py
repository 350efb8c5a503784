"""The generators' states in a checkpoint."""

import random

import numpy as np
import torch
from lightning import Trainer

from lightning_nlp.callbacks.random_state import RandomState, generator_states, set_generator_states


def draw() -> tuple[float, float, float]:
    return random.gauss(), float(np.random.normal()), float(torch.rand(()))


def test_the_numbers_go_on_where_they_were(tmp_path):
    draw()
    torch.save(generator_states(), tmp_path / "states")
    expected = [draw() for _ in range(3)]
    set_generator_states(torch.load(tmp_path / "states", weights_only=True))
    assert [draw() for _ in range(3)] == expected


def test_they_are_set_when_training_starts_and_not_before():
    saved = RandomState()
    state, expected = saved.state_dict(), draw()
    callback = RandomState()
    callback.load_state_dict(state)
    assert draw() != expected
    trainer = Trainer(accelerator="cpu", logger=False, enable_checkpointing=False, enable_progress_bar=False)
    callback.on_train_start(trainer, None)
    assert draw() == expected
    callback.on_train_start(trainer, None)
    assert draw() != expected, "only the first start after a resume"


def test_another_number_of_processes_draws_its_own():
    state, expected = RandomState().state_dict(), draw()
    callback = RandomState()
    callback.load_state_dict({"processes": state["processes"] * 2})
    callback.on_train_start(Trainer(accelerator="cpu", logger=False, enable_checkpointing=False), None)
    assert draw() != expected
