"""Ctrl-C, in this process and as a real signal to another."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import torch

from tests.conftest import ctrl_c, invoke, read_metrics

ROOT = Path(__file__).parents[2]


def start(arguments: list[str], tmp_path: Path) -> subprocess.Popen[str]:
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    command = [sys.executable, str(ROOT / "train.py"), "fit", *arguments, "--runs_dir", str(tmp_path / "runs")]
    return subprocess.Popen(
        command, cwd=tmp_path, env=environment, text=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE
    )


def wait_for(condition, process: subprocess.Popen[str], seconds: float = 90) -> None:
    end = time.monotonic() + seconds
    while not condition():
        assert process.poll() is None, process.communicate()[1]
        assert time.monotonic() < end, "the child process did not come so far"
        time.sleep(0.01)


def test_a_real_ctrl_c_saves_and_says_how_to_go_on(tiny_cls, tmp_path):
    child = start([*tiny_cls, "--trainer.max_epochs", "2000", "--early_stopping.patience", "2000"], tmp_path)
    run = tmp_path / "runs" / "quickstart" / "0"
    metrics = run / "metrics.csv"
    wait_for(lambda: metrics.exists() and metrics.read_text(encoding="utf-8").count("\n") > 4, child)
    child.send_signal(signal.SIGINT)
    out, err = child.communicate(timeout=60)
    assert child.returncode == 130, err
    last = run / "checkpoints" / "last.ckpt"
    step = torch.load(last, weights_only=True)["global_step"]
    assert f"Interrupted after step {step}; saved {last}." in err
    assert "--ckpt_path last" in err
    assert "Traceback" not in err + out
    assert [int(row["step"]) for row in read_metrics(run)] == list(range(step))
    assert not (run / "export").exists()


def test_an_interrupt_while_data_is_prepared_leaves_no_run(tiny_cls, tmp_path, monkeypatch):
    from lightning_nlp.data.base import TextDataModule

    monkeypatch.setattr(TextDataModule, "prepare_data", lambda self: signal.raise_signal(signal.SIGINT))
    before = signal.getsignal(signal.SIGINT)
    try:
        outcome = invoke("fit", *tiny_cls, "--runs_dir", tmp_path / "runs")
    finally:
        signal.signal(signal.SIGINT, before)  # Lightning leaves it ignored
    assert outcome.code == 130, outcome.err
    assert "Interrupted." in outcome.err
    assert not (tmp_path / "runs").exists()


def test_the_second_ctrl_c_stops_at_once(tiny_cls, tmp_path):
    before = signal.getsignal(signal.SIGINT)
    try:
        with ctrl_c("on_validation_start", [0]), ctrl_c("on_validation_start", [0]):
            outcome = invoke("fit", *tiny_cls, "--runs_dir", tmp_path / "runs")
    finally:
        signal.signal(signal.SIGINT, before)
    assert outcome.code == 130, outcome.err
    assert "Ctrl-C again stops at once" in outcome.err
    assert outcome.err.rstrip().endswith("Interrupted.")


def test_ctrl_c_in_an_accumulation_waits_for_the_whole_step(tiny_cls, tmp_path):
    with ctrl_c("on_train_batch_start", [2]):  # the first of the two batches of step 1
        outcome = invoke("fit", *tiny_cls, "--trainer.accumulate_grad_batches", "2", "--runs_dir", tmp_path / "runs")
    assert outcome.code == 130, outcome.err
    checkpoint = torch.load(tmp_path / "runs" / "quickstart" / "0" / "checkpoints" / "last.ckpt", weights_only=True)
    assert checkpoint["global_step"] == 2
    assert checkpoint["loops"]["fit_loop"]["epoch_loop.batch_progress"]["current"]["ready"] == 4


def test_ctrl_c_in_the_last_step_is_no_lost_training(tiny_cls, tmp_path):
    with ctrl_c("on_train_batch_end", [13]):
        outcome = invoke("fit", *tiny_cls, "--runs_dir", tmp_path / "runs")
    assert outcome.code == 130, outcome.err
    resumed = invoke("fit", *tiny_cls, "--runs_dir", tmp_path / "runs", "--ckpt_path", "last")
    assert resumed.code == 0, resumed.err
    assert [int(row["step"]) for row in read_metrics(resumed.run)] == list(range(15))


def test_ctrl_c_is_given_back_after_the_training(tiny_cls, tmp_path):
    before = signal.getsignal(signal.SIGINT)
    assert invoke("fit", *tiny_cls, "--trainer.max_epochs", "1", "--runs_dir", tmp_path / "runs").code == 0
    assert signal.getsignal(signal.SIGINT) is before
