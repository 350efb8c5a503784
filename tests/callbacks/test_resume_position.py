"""The translation of a position; whole trainings are in tests/faults/test_processes.py."""

from types import SimpleNamespace

import numpy as np
import pytest

from lightning_nlp.callbacks.resume_position import ResumePosition
from lightning_nlp.data.batches.plan import BatchPlan, FixedSize


def plan(size):
    return BatchPlan(FixedSize(np.full(100, 7), size))


def checkpoint(position, ready):
    progress = {"current": dict.fromkeys(("ready", "started", "processed", "completed"), ready)}
    loops = {"state_dict": {"combined_loader": [position] if position else []}, "epoch_loop.batch_progress": progress}
    return {"loops": {"fit_loop": loops}}


def load(given, size, stage="fit"):
    data = SimpleNamespace(training_plan=lambda: plan(size), train_batches=len(plan(size)))
    trainer = SimpleNamespace(state=SimpleNamespace(fn=stage), datamodule=data)
    ResumePosition().on_load_checkpoint(trainer, None, given)
    return given["loops"]["fit_loop"]["epoch_loop.batch_progress"]["current"]


def test_what_is_left_of_the_epoch_are_its_last_batches():
    found = load(checkpoint(plan(10).position(6), 6), 4)  # 40 examples are left
    assert found == dict.fromkeys(("ready", "started", "processed", "completed"), 15)  # of 25


@pytest.mark.parametrize(("size", "stage"), [(10, "fit"), (4, "test")])
def test_the_same_batches_or_no_training_change_nothing(size, stage):
    assert set(load(checkpoint(plan(10).position(6), 6), size, stage).values()) == {6}


def test_a_checkpoint_from_before_the_first_batch():
    assert set(load(checkpoint(None, 0), 4).values()) == {0}
