import subprocess
import sys
import time
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pytest

from tests.conftest import files_below, read_metrics, without, write_reviews, write_sentences

STEPS, VALIDATE_EVERY, WARM = 5_000, 250, 1_000
PROC = Path("/proc")
TASKS = {"tiny_cls": "quickstart", "tiny_mlm": "quickstart_mlm"}


class Sample(NamedTuple):
    step: int
    rss: float  # MiB
    handles: int
    threads: int
    workers: int
    workers_rss: float  # MiB, pages shared with the parent counted again


def status(process: Path, key: str) -> int:
    lines = (process / "status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith(f"{key}:"))


def sample(pid: int, metrics: Path) -> Sample | None:
    """A look at a process and its children; None before its first step and when it has just ended."""
    process = PROC / str(pid)
    try:
        step = int(read_metrics(metrics.parent)[-1]["step"])
        children = [PROC / child for child in (process / "task" / str(pid) / "children").read_text().split()]
        workers = [child for child in children if b"wandb" not in (child / "cmdline").read_bytes()]
        return Sample(
            step=step,
            rss=status(process, "VmRSS") / 1024,
            handles=len(list((process / "fd").iterdir())),
            threads=status(process, "Threads"),
            workers=len(workers),
            workers_rss=sum(status(worker, "VmRSS") for worker in workers) / 1024,
        )
    except (OSError, LookupError, ValueError, TypeError, StopIteration):
        return None


def median(samples: list[Sample], low: float, high: float) -> dict[str, float]:
    chosen = [s for s in samples if low <= s.step <= high]
    return {name: float(np.median([getattr(s, name) for s in chosen])) for name in Sample._fields}


@pytest.mark.slow
@pytest.mark.timeout(3_000)
@pytest.mark.skipif(not PROC.is_dir(), reason="reads /proc")
@pytest.mark.parametrize("task", TASKS)
def test_five_thousand_steps_and_twenty_validations(task, request, tmp_path, capsys):
    data = tmp_path / "data.csv" if task == "tiny_cls" else tmp_path / "data.txt"
    (write_reviews if task == "tiny_cls" else write_sentences)(data, 4_200)
    arguments = without(without(request.getfixturevalue(task), "--trainer.logger"), "--trainer.enable_progress_bar")
    arguments += ["--data.path", str(data), "--data.batch_size", "8", "--data.num_workers", "2", "--model.lr", "1e-3"]
    arguments += ["--trainer.max_steps", str(STEPS), "--trainer.max_epochs", "-1", "--trainer.log_every_n_steps", "10"]
    arguments += ["--trainer.val_check_interval", str(VALIDATE_EVERY), "--trainer.check_val_every_n_epoch", "null"]
    arguments += ["--early_stopping.patience", "1000", "--runs_dir", str(tmp_path / "runs")]
    metrics = tmp_path / "runs" / TASKS[task] / "0" / "metrics.csv"
    begun = time.monotonic()
    samples: list[Sample] = []
    with (tmp_path / "log").open("wb") as log:
        child = subprocess.Popen([sys.executable, "train.py", "fit", *arguments], stdout=log, stderr=log)
        while child.poll() is None:
            taken = sample(child.pid, metrics)
            if taken is not None and taken.step < STEPS:  # afterwards it tests and exports
                samples.append(taken)
            time.sleep(0.2)
    seconds = time.monotonic() - begun
    assert child.returncode == 0, (tmp_path / "log").read_text()[-3_000:]

    rows = read_metrics(metrics.parent)
    assert sum(bool(row.get("val/loss")) for row in rows) >= STEPS // VALIDATE_EVERY
    warm = [s for s in samples if s.step >= WARM]
    early, late = median(samples, WARM, WARM + VALIDATE_EVERY), median(samples, STEPS - VALIDATE_EVERY, STEPS)
    slope = np.polyfit([s.step / 1_000 for s in warm], [s.rss for s in warm], 1)[0]
    with capsys.disabled():
        print(f"\n{task}: {STEPS} steps, {seconds:.0f} s, {len(samples)} samples")
        print(f"  at step {WARM}: {early}\n  at the end: {late}\n  RSS {slope:+.2f} MiB per 1,000 steps")
    assert slope < 1.0
    for name in ("handles", "threads", "workers"):
        assert late[name] <= early[name], name
    assert late["workers_rss"] < early["workers_rss"] * 1.05
    assert not [name for name in files_below(metrics.parent) if name.endswith(".unfinished")]
