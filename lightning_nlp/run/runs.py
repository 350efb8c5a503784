"""Creates, locks, finds and removes the directories of runs."""

import contextlib
import os
import shutil
from pathlib import Path
from typing import Any

import torch
import yaml
from filelock import FileLock, Timeout

from lightning_nlp.errors import UserError, warn_user
from lightning_nlp.run.checkpoint_io import damage
from lightning_nlp.run.metrics_csv import last_step
from lightning_nlp.tasks import TASKS, task_of_module

BEST = "best.ckpt"
LAST = "last.ckpt"
LOCK = ".lock"


class Locked(UserError):
    """Another process is training in a run's directory."""


def new_run(runs_dir: Path, name: str) -> tuple[Path, FileLock]:
    """Create and lock the next free directory `runs_dir/name/n`; no two processes get the same."""
    parent = runs_dir / name
    try:
        parent.mkdir(parents=True, exist_ok=True)
        number = max(numbers(parent), default=-1) + 1
        while True:
            try:
                (parent / str(number)).mkdir()
                return parent / str(number), lock(parent / str(number))
            except (FileExistsError, Locked):
                number += 1
    except OSError as error:
        raise UserError(
            f"The run's directory cannot be created under {parent} ({error.strerror}): give another --runs_dir."
        ) from error


def numbers(parent: Path) -> list[int]:
    """The numbers of the runs under one name."""
    return sorted(int(path.name) for path in parent.iterdir() if path.name.isdecimal()) if parent.is_dir() else []


def discard(run: Path) -> None:
    """Remove a run's directory, and its parents if they become empty."""
    shutil.rmtree(run, ignore_errors=True)
    with contextlib.suppress(OSError):
        run.parent.rmdir()
        run.parent.parent.rmdir()


def lock(run: Path) -> FileLock:
    """Keep other processes out of a run's directory until this one ends; raises `Locked` if in use."""
    held = FileLock(run / LOCK, blocking=False)
    try:
        held.acquire()
    except Timeout:
        raise Locked(f"{run} is being trained by another process: wait for it to end, or stop it first.") from None
    return held


def sweep(run: Path) -> None:
    """Remove unfinished files left by a killed process."""
    for path in [*run.glob("*.unfinished"), *run.glob("*/*.unfinished")]:
        shutil.rmtree(path) if path.is_dir() else path.unlink()


def unlock(held: FileLock | None) -> None:
    """Release a run's directory."""
    if held is not None:
        Path(held.lock_file).unlink(missing_ok=True)
        held.release()


def latest_run(runs_dir: Path, name: str, checkpoint: str) -> Path:
    """The newest run that has the checkpoint, `LAST` or `BEST`; raises a UserError if there is none."""
    for number in reversed(numbers(runs_dir / name)):
        run = runs_dir / name / str(number)
        if (run / "checkpoints" / checkpoint).is_file():
            return run
    raise UserError(
        f"No run under {runs_dir / name} has a {checkpoint.removesuffix('.ckpt')} checkpoint: train first, name the "
        "run with --name and --runs_dir, or give a file with --ckpt_path."
    )


def unfinished_run(runs_dir: Path, name: str, config: str) -> Path | None:
    """The newest run with this config.yaml, unless it has finished."""
    wanted = training_part(config)
    for number in reversed(numbers(runs_dir / name)):
        run = runs_dir / name / str(number)
        if all(path.name == LOCK or path.suffix == ".unfinished" for path in run.iterdir()):
            return run  # killed before it had a config.yaml
        with contextlib.suppress(OSError, yaml.YAMLError):
            if training_part((run / "config.yaml").read_text(encoding="utf-8")) == wanted:
                # the lock is removed last: a killed run still has it
                return None if (run / "export").is_dir() and not (run / LOCK).exists() else run
    return None


def training_part(config: str) -> dict[str, Any]:
    """The settings of config.yaml that identify a training: not where it runs or writes, nor for how long."""
    settings: dict[str, Any] = yaml.safe_load(config)
    ignored = ("default_root_dir", "logger", "max_time", "enable_progress_bar", "devices", "num_nodes", "strategy")
    settings["trainer"] = {key: value for key, value in settings["trainer"].items() if key not in ignored}
    return {key: value for key, value in settings.items() if key not in ("runs_dir", "save_minutes")}


def newest_checkpoint(run: Path) -> Path | None:
    """A run's last checkpoint, or its best, with a warning, if that one is damaged; None without any.

    Raises:
        UserError: If all are damaged.
    """
    broken = []
    for path in filter(Path.is_file, (run / "checkpoints" / LAST, run / "checkpoints" / BEST)):
        if reason := damage(path):
            broken.append(f"{path} is damaged ({reason})")
            continue
        checkpoint = load_checkpoint(path)
        if not (broken or checkpoint["whole_step"]):
            continue  # saved by a validation between two micro-batches
        if broken:
            step, logged = int(checkpoint["global_step"]), last_step(run / "metrics.csv")
            repeated = 0 if logged is None else max(0, logged + 1 - step)
            lost = f", which repeats {repeated} step{'s' * (repeated > 1)}" if repeated else ""
            warn_user(f"{broken[0]}: continuing from {path.name} after step {step}{lost}.")
        return path
    if broken:
        raise UserError(f"{'; '.join(broken)}: there is no other to resume from; start again without --ckpt_path.")
    return None


def existing_run(path: str) -> Path:
    """The directory given as `--run`; raises a UserError if it is not a run's."""
    run = Path(os.path.expanduser(path))
    if not os.path.isdir(run):  # pathlib raises for names that no file can have
        raise UserError(f"--run {path}: there is no such directory; give a run, e.g. runs/cls/0.")
    if not (run / "config.yaml").is_file():
        inside = [str(run / str(number)) for number in numbers(run)]
        hint = f"did you mean {inside[-1]}?" if inside else "give a run, e.g. runs/cls/0."
        raise UserError(f"--run {path} is not a run, it has no config.yaml: {hint}")
    return run


def load_checkpoint(path: Path) -> dict[str, Any]:
    """Read a checkpoint, tensors memory-mapped, without running its code; raises a UserError if it cannot."""
    if not os.path.isfile(path):
        raise UserError(f"--ckpt_path {path}: there is no such file; give `last`, `best` or a checkpoint's path.")
    try:
        checkpoint = torch.load(path, map_location="cpu", weights_only=True, mmap=True)
    except Exception as error:  # torch raises RuntimeError, UnpicklingError, EOFError, ...
        raise UserError(
            f"The checkpoint {path} ({path.stat().st_size} bytes) cannot be read; it is truncated or not a checkpoint "
            f"({type(error).__name__}). Give another with --ckpt_path."
        ) from error
    if not isinstance(checkpoint, dict) or "lightning_nlp" not in checkpoint:
        raise UserError(f"{path} is not a checkpoint of lightning_nlp: give another with --ckpt_path.")
    return checkpoint


def check_task(checkpoint: dict[str, Any], path: Path, model_class: str) -> None:
    """Raise a UserError unless a checkpoint's task is that of the LightningModule with this import path."""
    task, ours = checkpoint["lightning_nlp"]["task"], task_of_module(model_class)
    if ours is not None and (task not in TASKS or TASKS[task].module != ours.module):
        raise UserError(
            f"The checkpoint {path} is for the task {task!r}, and {ours.module} is for {ours.name!r}: give another "
            "--ckpt_path or --config. To start from a pretrained encoder, give --model.pretrained RUN/export."
        )
