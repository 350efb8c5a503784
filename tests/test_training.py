"""What `fit` does after the last step, and when there is none."""

import pytest
import torch

from lightning_nlp.callbacks.throughput import Throughput
from tests.conftest import files_below, invoke, read_metrics
from tests.test_cli import RUN_FILES


@pytest.mark.parametrize("task", ["cls", "mlm"])
def test_the_best_checkpoint_is_the_one_tested_and_exported(task, request):
    run = request.getfixturevalue(f"{task}_run")
    (row,) = [row for row in read_metrics(run) if row["test/loss"]]
    expected = {key: float(value) for key, value in row.items() if key.startswith("test/")}
    outcome = invoke("test", "--run", run)
    assert outcome.code == 0, outcome.err
    for key, value in expected.items():
        assert f"{value:.4f}" in outcome.out.split(key)[1].splitlines()[0]
    assert len(expected) >= 4
    from safetensors.torch import load_file

    weights = torch.load(run / "checkpoints" / "best.ckpt", weights_only=True)["state_dict"]
    exported = load_file(run / "export" / "model.safetensors")
    assert exported
    assert all(torch.equal(weights[f"network.{name}"], tensor) for name, tensor in exported.items())


def test_fit_tests_the_best_and_not_the_last_epoch(tiny_cls, tmp_path, monkeypatch):
    def ruin(self, trainer, module):
        if trainer.current_epoch == 1:
            with torch.no_grad():
                for parameter in module.parameters():
                    parameter.normal_(std=10, generator=torch.Generator().manual_seed(0))

    monkeypatch.setattr(Throughput, "on_train_epoch_start", ruin)
    choice = ["--checkpoint.monitor", "val/loss", "--checkpoint.mode", "min"]
    run = invoke("fit", *tiny_cls, *choice, "--runs_dir", tmp_path).run
    best, last = (
        torch.load(run / "checkpoints" / f"{name}.ckpt", weights_only=True)["global_step"] for name in ("best", "last")
    )
    assert (best, last) == (7, 14)
    (row,) = [row for row in read_metrics(run) if row["test/loss"]]
    table = {which: invoke("test", "--run", run, "--ckpt_path", which).out for which in ("best", "last")}
    assert f"{float(row['test/loss']):.4f}" in table["best"]
    assert f"{float(row['test/loss']):.4f}" not in table["last"]


def test_fast_dev_run_leaves_nothing(tiny_cls, tmp_path):
    outcome = invoke("fit", *tiny_cls, "--trainer.fast_dev_run", "true", "--runs_dir", tmp_path / "r")
    assert outcome.code == 0, outcome.err
    assert not (tmp_path / "r").exists()


def test_without_validation_the_last_epoch_is_the_best(tiny_cls, tmp_path):
    run = invoke("fit", *tiny_cls, "--trainer.limit_val_batches", "0", "--runs_dir", tmp_path).run
    best, last = (torch.load(run / "checkpoints" / f"{name}.ckpt", weights_only=True) for name in ("best", "last"))
    assert best["global_step"] == last["global_step"] == 14
    assert not any(key.startswith("val/") for key in read_metrics(run)[0])
    assert invoke("test", "--run", run).code == 0


def test_max_steps_before_the_first_validation(tiny_cls, tmp_path):
    run = invoke("fit", *tiny_cls, "--trainer.max_steps", "3", "--runs_dir", tmp_path).run
    assert [row["step"] for row in read_metrics(run)] == ["0", "1", "2", "3"]
    assert files_below(run) >= RUN_FILES


def test_a_failed_export_is_not_hidden(tiny_cls, tmp_path, monkeypatch):
    monkeypatch.setattr("lightning_nlp.training.export_run", lambda *args, **settings: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        invoke("fit", *tiny_cls, "--trainer.max_epochs", "1", "--runs_dir", tmp_path)
