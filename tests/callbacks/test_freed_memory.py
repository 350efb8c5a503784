from types import SimpleNamespace

import pytest
import torch

from lightning_nlp.callbacks import freed_memory
from lightning_nlp.callbacks.freed_memory import FreedMemory
from tests.conftest import invoke


@pytest.fixture
def given_back(monkeypatch):
    """The steps after which memory was given back; a process of 100 bytes that grows by 2 a step until then."""
    state = {"step": 0, "grown": 0, "given_back": []}

    def resident():
        state["step"] += 1
        state["grown"] += 2
        return 100 + state["grown"]

    def give_back():
        state["given_back"].append(state["step"])
        state["grown"] = 0

    monkeypatch.setattr(freed_memory, "keep_freed_memory", lambda: True)
    monkeypatch.setattr(freed_memory, "resident_bytes", resident)
    monkeypatch.setattr(freed_memory, "return_freed_memory", give_back)
    return state["given_back"]


def train(device, steps=60):
    trainer = SimpleNamespace(strategy=SimpleNamespace(root_device=torch.device(device)))
    callback = FreedMemory()
    callback.on_fit_start(trainer, None)
    for step in range(steps):
        callback.on_train_batch_end(trainer, None, None, None, step)
    return callback


def test_growth_is_bounded(given_back):
    callback = train("cpu")
    # 116 after eight steps, and more than 1.25 times that first at 146
    assert given_back == [23, 46]
    assert callback.given_back == 2


def test_nothing_happens_on_a_gpu(given_back):
    train("cuda")
    assert given_back == []


def test_nothing_happens_where_the_c_library_has_no_such_thing(given_back, monkeypatch):
    monkeypatch.setattr(freed_memory, "keep_freed_memory", lambda: False)
    train("cpu")
    assert given_back == []


def test_a_training_uses_it(tiny_cls, tmp_path, monkeypatch):
    steps = []
    monkeypatch.setattr(freed_memory, "resident_bytes", lambda: steps.append(1) or 1)
    monkeypatch.setattr(freed_memory, "keep_freed_memory", lambda: True)
    assert invoke("fit", *tiny_cls, "--runs_dir", tmp_path).code == 0
    assert len(steps) == 14
