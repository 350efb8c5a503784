"""The directory that one training writes to: found or made before anything writes, put back if nothing was trained."""

from __future__ import annotations

import contextlib
import json
import sys
from pathlib import Path
from typing import Any

import yaml
from filelock import FileLock
from jsonargparse import Namespace

from lightning_nlp.atomic_files import write_whole
from lightning_nlp.callbacks.ema import TRAINED
from lightning_nlp.errors import UserError
from lightning_nlp.privacy import home_as_tilde
from lightning_nlp.run import processes, runs


class RunDirectory:
    """The directory of the training that this process does, locked; of several processes, only the first writes to it.

    Args:
        resumed_step: The step that a training goes on from in its own directory; None for a new one.
        trained_on: Of the checkpoint that it goes on from, by `trained_on`, before config.yaml is replaced.
    """

    def __init__(self, path: Path, lock: FileLock | None, resumed_step: int | None, trained_on: Any = None) -> None:
        self.path = path
        self.lock = lock
        self.resumed_step = resumed_step
        self.trained_on = trained_on
        self._earlier_config: str | None = None
        if self.resumed:
            with contextlib.suppress(OSError):
                self._earlier_config = (path / "config.yaml").read_text(encoding="utf-8")

    @property
    def resumed(self) -> bool:
        """Whether a training goes on in its own directory."""
        return self.resumed_step is not None

    def write_config(self, text: str) -> None:
        """Write config.yaml whole, without the name of the home folder."""
        if processes.is_main_process():
            write_whole(self.path / "config.yaml", home_as_tilde(text))

    def undo(self) -> None:
        """Nothing was trained: remove the directory, or leave a resumed run as it was."""
        if not processes.is_main_process():
            return
        if self.resumed:
            if self._earlier_config is not None:
                write_whole(self.path / "config.yaml", self._earlier_config)
        elif not any((self.path / "checkpoints").glob("*.ckpt")):
            if "wandb" in sys.modules:  # its own process would write the directory anew
                with contextlib.suppress(TimeoutError):
                    sys.modules["wandb"].finish(exit_code=1)
            runs.discard(self.path)

    def unlock(self) -> None:
        """Give the directory free."""
        runs.unlock(self.lock)


def open_run(config: Namespace, text: str) -> RunDirectory:
    """Find what to go on from, and the run that goes on in its own directory, or make a new one.

    The first process does, and the others of a distributed training take what it found.

    Args:
        config: The configuration of `fit`; its `ckpt_path` becomes the checkpoint's file.

    Returns:
        The directory, locked, without what a process that was killed had begun to write.

    Raises:
        UserError: If there is no such checkpoint, or it is of another task, or the directory is in use, or another
            machine's storage.
        MainProcessFailed: In the others, if the main process failed.
    """
    opened: list[RunDirectory] = []

    def open_here() -> str:
        run = _open(config, text)
        opened.append(run)
        return json.dumps([str(run.path.absolute()), run.resumed_step, config.ckpt_path])

    path, step, config.ckpt_path = json.loads(processes.once("run", open_here))
    if opened:
        return opened[0]
    if not Path(path).is_dir():
        raise UserError(
            f"The run's directory {path} is not on this machine: give a --runs_dir on storage that all machines share."
        )
    return RunDirectory(Path(path), None, step, trained_on(config.ckpt_path))


def _open(config: Namespace, text: str) -> RunDirectory:
    runs_dir, run, found = Path(config.runs_dir), None, None
    if config.resume == "auto":
        if config.ckpt_path is not None:
            raise UserError(
                f"--resume auto finds the checkpoint itself: leave out --ckpt_path {config.ckpt_path}, or --resume."
            )
        run = runs.unfinished_run(runs_dir, config.name, text)
        found = runs.newest_checkpoint(run) if run is not None else None
    elif config.ckpt_path == "last":
        found = runs.newest_checkpoint(runs.latest_run(runs_dir, config.name, runs.LAST))
    elif config.ckpt_path == "best":
        found = runs.latest_run(runs_dir, config.name, runs.BEST) / "checkpoints" / runs.BEST
    elif config.ckpt_path is not None:
        found = Path(config.ckpt_path)
    step = record = None
    if found is not None:
        checkpoint = runs.load_checkpoint(found)
        runs.check_task(checkpoint, found, config.model.class_path)
        if "optimizer_states" not in checkpoint:
            raise UserError(
                f"The checkpoint {found} holds the weights alone, and no training can go on from it: give another with "
                "--ckpt_path; to measure it, give it to `test`."
            )
        if TRAINED in checkpoint and config.ema_decay is None:
            raise UserError(f"{found} has an average of the weights, which has to go on: give its --ema_decay too.")
        if config.resume == "auto" or config.ckpt_path == "last" or found.name == runs.LAST:
            run, step = found.parent.parent, int(checkpoint["global_step"])
        record = trained_on(found)
        config.ckpt_path = str(found)
    path, lock = runs.new_run(runs_dir, config.name) if run is None else (run, runs.lock(run))
    runs.sweep(path)
    return RunDirectory(path, lock, step, record)


def trained_on(path: str | Path | None) -> dict[str, Any] | None:
    """What a checkpoint was trained on, for `TextDataModule.go_on_from`; None where nothing tells it.

    Args:
        path: Its file. If it is from before checkpoints knew their data, its run's files tell the token cache.
    """
    record: dict[str, Any] | None = runs.load_checkpoint(Path(path))["lightning_nlp"].get("data") if path else None
    if path and record is None:
        run = Path(path).parent.parent
        with contextlib.suppress(OSError, ValueError, LookupError, TypeError, yaml.YAMLError):
            folder = json.loads((run / "data.json").read_text(encoding="utf-8"))["fingerprint"]
            settings = yaml.safe_load((run / "config.yaml").read_text(encoding="utf-8"))["data"]["init_args"]
            record = {"folder": folder, "settings": dict(settings), "texts": None}
    return record
