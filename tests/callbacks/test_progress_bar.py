import os
import pty
import re
import subprocess
import sys

import pytest
import torch

from lightning_nlp.callbacks.best_checkpoint import BestCheckpoint
from lightning_nlp.callbacks.progress import Plan
from lightning_nlp.callbacks.progress_bar import Progress
from tests.callbacks.test_progress import fake_trainer
from tests.conftest import HOUSE, without


def test_only_figures_that_are_there():
    trainer = fake_trainer()
    bar = Progress(Plan(BestCheckpoint("val/accuracy", "max")))
    assert bar.get_metrics(trainer, None) == {}
    trainer.callback_metrics = {
        "train/loss": torch.tensor(0.12345),
        "val/accuracy": torch.tensor(0.87654),
        "val/f1": torch.tensor(0.5),
        "perf/tokens_per_s": torch.tensor(12345.6),
    }
    assert bar.get_metrics(trainer, None) == {"loss": "0.123", "best": "0.8765", "tokens/s": "12,346"}
    assert "best" not in Progress(Plan(BestCheckpoint(None))).get_metrics(trainer, None)


def test_a_loss_is_read_only_where_it_is_logged():
    trainer = fake_trainer()
    bar = Progress(Plan(BestCheckpoint(None)))
    shown = []
    for step in range(10, 22):
        trainer.global_step, trainer.callback_metrics = step, {"train/loss": torch.tensor(float(step))}
        shown.append(bar.get_metrics(trainer, None)["loss"])
    assert shown == ["10.000"] * 10 + ["20.000"] * 2
    trainer.training = False  # the end of a validation
    assert bar.get_metrics(trainer, None)["loss"] == "21.000"


@pytest.mark.acceptance
def test_on_a_terminal_there_is_a_bar_of_one_line(tiny_cls, tmp_path):
    arguments = without(tiny_cls, "--trainer.enable_progress_bar")
    ours, theirs = pty.openpty()
    command = [sys.executable, str(HOUSE / "train.py"), "fit", *map(str, arguments), "--runs_dir", str(tmp_path)]
    environment = os.environ | {"TERM": "xterm", "COLUMNS": "80", "OMP_NUM_THREADS": "1"}
    child = subprocess.Popen(command, stderr=theirs, stdout=subprocess.PIPE, env=environment, text=True)
    os.close(theirs)
    seen = b""
    while True:
        try:
            part = os.read(ours, 65536)
        except OSError:  # the other end is closed
            break
        if not part:
            break
        seen += part
    out, _ = child.communicate(timeout=60)
    os.close(ours)
    assert child.returncode == 0, seen
    screen = re.sub(r"\x1b\[1A|\x1b\[2K", "\n", seen.decode())  # what erases a line begins another
    text = re.sub(r"\x1b\[[0-9;?]*[a-zA-Z]", "", screen)
    bars = [line for line in re.split(r"[\r\n]+", text) if "Epoch" in line and "loss:" in line]
    assert bars
    assert max(map(len, map(str.rstrip, bars))) <= 80
    assert "━" in bars[-1]
    messages = [line for line in re.split(r"[\r\n]+", text) if "stopped:" in line or "Training:" in line]
    assert len(messages) == 2
    assert not any("Epoch" in line for line in messages), "a message has a line of its own"
    assert "\x1b" not in out
