import re
from types import SimpleNamespace

import pytest
import torch

from lightning_nlp.callbacks import outlook
from lightning_nlp.training.flops import training_costs
from tests.callbacks.test_throughput import network_with_a_window
from tests.conftest import checkpoint_of, invoke, read_metrics

NO_VALIDATION = r"No validation comes in this training, so best.ckpt is its last state: give (--.*) for some\."


@pytest.mark.parametrize(
    "arguments",
    [
        "--trainer.limit_val_batches 0",
        "--trainer.check_val_every_n_epoch 2 --trainer.max_steps 3 --trainer.accumulate_grad_batches 2",
    ],
)
def test_no_validation_is_told_with_what_brings_one(arguments, tiny_cls, tmp_path):
    arguments = arguments.split()
    outcome = invoke("fit", *tiny_cls, *arguments, "--runs_dir", tmp_path, "--quiet", "true")
    (cure,) = re.findall(NO_VALIDATION, outcome.err)
    assert not [row for row in read_metrics(outcome.run) if row.get("val/loss")]
    assert checkpoint_of(outcome.run, "best")["global_step"] == checkpoint_of(outcome.run, "last")["global_step"]
    cured = invoke("fit", *tiny_cls, *arguments, *cure.split(), "--runs_dir", tmp_path)
    assert not re.search(NO_VALIDATION, cured.err)
    assert [row for row in read_metrics(cured.run) if row["val/loss"]]


def trainer(**more: object) -> SimpleNamespace:
    usual = {"limit_val_batches": 1.0, "enable_validation": True, "val_check_batch": 38, "num_training_batches": 38}
    usual |= {"check_val_every_n_epoch": 1, "accumulate_grad_batches": 1, "max_steps": -1, "max_epochs": 2}
    return SimpleNamespace(**usual | more)


@pytest.mark.parametrize(
    ("settings", "cure"),
    [
        ({}, None),
        ({"max_steps": 38}, None),
        ({"max_steps": 37}, "--trainer.val_check_interval 18"),
        ({"max_steps": 1}, "--trainer.val_check_interval 1"),
        ({"max_steps": 10, "accumulate_grad_batches": 4}, None),
        ({"max_steps": 9, "accumulate_grad_batches": 4}, "--trainer.val_check_interval 18"),
        ({"max_steps": 9, "accumulate_grad_batches": 4, "val_check_batch": 19}, None),
        ({"check_val_every_n_epoch": 2}, None),
        ({"check_val_every_n_epoch": 3}, "--trainer.check_val_every_n_epoch 1"),
        ({"check_val_every_n_epoch": 3, "max_epochs": -1, "max_steps": 114}, None),
        ({"check_val_every_n_epoch": 3, "max_epochs": -1, "max_steps": 113}, "--trainer.check_val_every_n_epoch 1"),
        ({"check_val_every_n_epoch": None, "val_check_batch": 76}, None),
        ({"check_val_every_n_epoch": None, "val_check_batch": 77}, "--trainer.val_check_interval 19"),
        ({"max_epochs": -1}, None),
        ({"max_steps": 1, "val_check_batch": None}, None),  # by the clock
        ({"max_steps": 1, "val_check_batch": float("inf")}, None),
        ({"max_steps": 1, "enable_validation": False}, None),  # a data module without that part
    ],
)
def test_when_the_first_validation_comes(settings, cure):
    assert outlook.cure_without_validation(trainer(**settings)) == cure


@pytest.fixture
def said(monkeypatch):
    lines = []
    monkeypatch.setattr(outlook, "rank_zero_info", lines.append)
    return lines


def found(network, peak_tflops=None, device="cpu"):
    module = SimpleNamespace(network=network, device=torch.device(device))
    return outlook.costs_and_peak(SimpleNamespace(precision="bf16-mixed"), module, peak_tflops)


def test_the_peak_is_the_hardwares_or_the_one_given(monkeypatch, said):
    asked = []
    monkeypatch.setattr(outlook, "peak_flops", lambda *question: asked.append(question) or 1e6)
    network = network_with_a_window()
    assert found(network) == (training_costs(network), 1e6)
    assert asked == [(torch.device("cpu"), "bf16-mixed")]
    assert found(network, 2.0)[1] == 2e12
    assert said == []


def test_why_there_is_no_mfu(monkeypatch, said):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "get_device_name", lambda device=None: "CocoNut 9000")
    assert found(None, 1.0) == (None, None), "a user's own module, of which nothing is said"
    assert found(SimpleNamespace(config=SimpleNamespace(model_type="albert")), 1.0) == (None, None)
    assert found(network_with_a_window(), device="cuda")[1] is None
    architecture, peak = said
    assert "albert" in architecture
    assert all(word in peak for word in ("CocoNut 9000", "bf16-mixed", "--peak_tflops"))
