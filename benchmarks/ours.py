"""Contender d: `train.py fit` with the default configuration. Started by `vs_trainer.py`, one process a run.

The command is the user's; only paths, limits, the logger and (for the window of steps) the schedule are overridden. The
measurement rides along as one more Lightning callback, and ends the process when it has enough, before test and export.
"""

from __future__ import annotations

import contextlib
import json
import sys
from pathlib import Path
from typing import Any

import torch
from lightning_clock import Done

ENDLESS = 10_000  # epochs


def fit_arguments(job: dict[str, Any]) -> list[str]:
    """The arguments of `train.py` for a job."""
    prepared, root = Path(job["prepared"]), Path(__file__).parent.parent
    arguments = {
        "--config": root / "configs" / f"{job['task']}.yaml",
        "--seed_everything": job["seed"],
        "--runs_dir": Path(job["work"]) / "runs",
        "--model.pretrained": prepared / "model",
        "--model.lr": job["lr"],
        "--data.path": prepared / "texts",
        "--data.tokenizer": prepared / "model",
        "--data.cache_dir": Path(job["work"]) / "cache",
        "--data.clean": "false",  # `corpus.py` has cleaned the texts for all
        "--data.deduplicate": "false",
        "--data.max_length": job["max_length"],
        "--trainer.accelerator": "gpu" if job["device"] == "cuda" else "cpu",
        "--trainer.logger": "false",
        "--trainer.enable_progress_bar": "false",
        "--trainer.limit_val_batches": 0,  # the yardstick evaluates all contenders alike
        "--trainer.max_epochs": job["epochs"] if job["until"] else ENDLESS,
        "--trainer.callbacks": json.dumps([{"class_path": "lightning_clock.Clock", "init_args": {"job": job}}]),
        "--trainer.plugins": json.dumps([{"class_path": "lightning_clock.NoCheckpoints"}]),
    }
    if not job["until"]:
        arguments |= {"--model.schedule": "constant", "--model.warmup_ratio": 0}
    words = [str(word) for pair in arguments.items() for word in pair]
    return ["fit", *words, *job["overrides"]]


def main(job_file: str) -> None:
    """Train, measure, write the result."""
    from lightning_nlp.cli.main import main as train

    job = json.loads(Path(job_file).read_text(encoding="utf-8"))
    torch.set_num_threads(job["threads"])
    with contextlib.suppress(Done):
        train(fit_arguments(job))
    assert Path(job["result"]).is_file(), "the training ended without a result"


if __name__ == "__main__":
    main(sys.argv[1])
