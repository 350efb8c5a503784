"""A run's directory: made before anything writes, never shared, removed when nothing was trained."""

from __future__ import annotations

import contextlib
import shutil
from pathlib import Path
from typing import Any

import torch

from lightning_nlp.errors import UserError

BEST = "best.ckpt"
LAST = "last.ckpt"


def new_run(runs_dir: Path, name: str) -> Path:
    """Make the next free directory `runs_dir/name/n`; two processes never get the same.

    Args:
        runs_dir: Where runs lie.
        name: The runs' common name.

    Returns:
        The new directory, empty.

    Raises:
        UserError: If it cannot be made.
    """
    parent = runs_dir / name
    try:
        parent.mkdir(parents=True, exist_ok=True)
        number = max(numbers(parent), default=-1) + 1
        while True:
            try:
                (parent / str(number)).mkdir()
            except FileExistsError:
                number += 1
            else:
                return parent / str(number)
    except OSError as error:
        raise UserError(
            f"The run's directory cannot be made under {parent} ({error.strerror}): give another --runs_dir."
        ) from error


def numbers(parent: Path) -> list[int]:
    """The numbers of the runs under one name."""
    return sorted(int(path.name) for path in parent.iterdir() if path.name.isdecimal()) if parent.is_dir() else []


def discard(run: Path) -> None:
    """Remove the directory of a run that trained nothing, and its parents if they are empty now."""
    shutil.rmtree(run, ignore_errors=True)
    with contextlib.suppress(OSError):
        run.parent.rmdir()
        run.parent.parent.rmdir()


def latest_checkpoint(runs_dir: Path, name: str, which: str) -> Path:
    """The `last` or `best` checkpoint of the newest run that has one.

    Args:
        runs_dir: Where runs lie.
        name: The runs' common name.
        which: `last` or `best`.

    Returns:
        The checkpoint's path, in `runs_dir/name/n/checkpoints/`.

    Raises:
        UserError: If no run of that name has one.
    """
    for number in reversed(numbers(runs_dir / name)):
        path = runs_dir / name / str(number) / "checkpoints" / f"{which}.ckpt"
        if path.is_file():
            return path
    raise UserError(
        f"No run under {runs_dir / name} has a {which} checkpoint: train first, name the run with --name and "
        "--runs_dir, or give a file with --ckpt_path."
    )


def existing_run(path: str) -> Path:
    """Check that a directory is a run's.

    Args:
        path: What the user gave as `--run`.

    Returns:
        The directory.

    Raises:
        UserError: If it is none.
    """
    run = Path(path)
    if not run.is_dir():
        raise UserError(f"--run {path}: there is no such directory; give a run such as runs/cls/0.")
    if not (run / "config.yaml").is_file():
        inside = [str(run / str(number)) for number in numbers(run)]
        hint = f"did you mean {inside[-1]}?" if inside else "give a run such as runs/cls/0."
        raise UserError(f"--run {path} is not a run, it has no config.yaml: {hint}")
    return run


def load_checkpoint(path: Path) -> dict[str, Any]:
    """Read a checkpoint without running any code in it.

    Args:
        path: The file.

    Returns:
        Its content, tensors memory-mapped.

    Raises:
        UserError: If it is missing, truncated, or no checkpoint of ours.
    """
    if not path.is_file():
        raise UserError(f"--ckpt_path {path}: there is no such file; give `last`, `best` or a checkpoint's path.")
    try:
        checkpoint = torch.load(path, map_location="cpu", weights_only=True, mmap=True)
    except Exception as error:  # torch raises RuntimeError, UnpicklingError, EOFError, ...
        raise UserError(
            f"The checkpoint {path} ({path.stat().st_size} bytes) cannot be read; it is truncated or no checkpoint "
            f"({type(error).__name__}). Give another with --ckpt_path."
        ) from error
    if not isinstance(checkpoint, dict) or "lightning_nlp" not in checkpoint:
        raise UserError(f"{path} is not a checkpoint of lightning_nlp: give another with --ckpt_path.")
    return checkpoint


def check_task(checkpoint: dict[str, Any], path: Path, model_class: str) -> None:
    """Check, before any data is prepared, that a checkpoint was written by the class that is to load it.

    Args:
        checkpoint: What `load_checkpoint` gave.
        path: Its file, for the message.
        model_class: The import path or name of the LightningModule.

    Raises:
        UserError: If it belongs to the other task.
    """
    task = checkpoint["lightning_nlp"]["task"]
    ours = {"SequenceClassifier": "classification", "MaskedLanguageModel": "mlm"}.get(model_class.rsplit(".", 1)[-1])
    if ours is not None and task != ours:
        raise UserError(
            f"The checkpoint {path} belongs to the task {task!r}, and {model_class.rsplit('.', 1)[-1]} does {ours!r}: "
            "give another --ckpt_path or --config. To start a classifier from a pretrained encoder, give "
            "--model.pretrained RUN/export."
        )
