"""Contender d: `train.py fit` with the default configuration. Started by `vs_trainer.py`, one process a run.

The command is the user's; only paths, limits, the logger and (for the window of steps) the schedule are overridden. The
measurement rides along as one more Lightning callback, and ends the process when it has enough, before test and export.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import torch
from lightning_clock import Done
from yardstick import read_job

ENDLESS = 10_000  # epochs


def fit_arguments(job: dict[str, Any], job_file: str) -> list[str]:
    """The arguments of `train.py` for a job."""
    prepared, root = Path(job["prepared"]), Path(__file__).parent.parent
    clock = [{"class_path": "lightning_clock.Clock", "init_args": {"job": job_file}}]
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
        "--trainer.callbacks": json.dumps(clock),
        "--trainer.plugins": json.dumps([{"class_path": "lightning_clock.NoCheckpoints"}]),
    }
    if not job["until"]:
        arguments |= {"--model.schedule": "constant", "--model.warmup_ratio": 0}
    words = [str(word) for pair in arguments.items() for word in pair]
    return ["fit", *words, *job["overrides"]]


def main() -> None:
    """Train, measure, write the result."""
    job = read_job()
    torch.set_num_threads(job["threads"])
    try:
        from lightning_nlp.cli.main import main as train
    except ModuleNotFoundError as error:  # a borrowed machine may lack datasets or jsonargparse
        if (error.name or "").startswith("lightning_nlp"):
            raise
        print(f"{error}: training through Lightning's Trainer instead of the command line.", file=sys.stderr)
        from ours_without_cli import train_job

        def train(arguments: list[str]) -> None:
            train_job(job, sys.argv[1])

    try:
        train(fit_arguments(job, sys.argv[1]))
    except Done:
        return
    assert Path(job["result"]).is_file(), "the training ended without a result"


if __name__ == "__main__":
    main()
