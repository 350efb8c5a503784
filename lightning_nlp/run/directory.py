"""Opens the directory of a training, new or resumed."""

import contextlib
import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from filelock import FileLock
from jsonargparse import Namespace

from lightning_nlp.atomic_files import write_whole
from lightning_nlp.callbacks import TRAINED
from lightning_nlp.errors import UserError
from lightning_nlp.privacy import home_as_tilde
from lightning_nlp.run import processes, runs


class RunDirectory:
    """The directory of this training, locked; only the main process writes to it.

    Args:
        resumed_step: The step at which a training resumes in its own directory; None for a new one.
    """

    def __init__(self, path: Path, lock: FileLock | None = None, resumed_step: int | None = None) -> None:
        self.path, self.lock, self.resumed_step = path, lock, resumed_step
        self.resumed, config = resumed_step is not None, path / "config.yaml"
        self._earlier_config = config.read_text(encoding="utf-8") if self.resumed and config.is_file() else None

    def write_config(self, text: str) -> None:
        """Write config.yaml, without the home folder's name."""
        if processes.is_main_process():
            write_whole(self.path / "config.yaml", home_as_tilde(text))

    def undo(self) -> None:
        """Remove the directory, or restore that of a resumed run, since nothing was trained."""
        if not processes.is_main_process():
            return
        if self._earlier_config is not None:
            write_whole(self.path / "config.yaml", self._earlier_config)
        elif not self.resumed and not any((self.path / "checkpoints").glob("*.ckpt")):
            if "wandb" in sys.modules:  # its process would recreate the directory
                with contextlib.suppress(TimeoutError):
                    sys.modules["wandb"].finish(exit_code=1)
            runs.discard(self.path)


def open_run(config: Namespace, dump: Callable[[], str]) -> RunDirectory:
    """Create a new run's directory, or find the run to resume and its checkpoint, once for all processes.

    Args:
        config: The configuration of `fit`; its `ckpt_path` becomes the checkpoint's file.
        dump: Returns the configuration as the text of config.yaml.

    Raises:
        UserError: If the checkpoint cannot be used, or the directory is in use or not on this machine.
        MainProcessFailed: In the other processes, if the main one failed.
    """
    opened: list[RunDirectory] = []

    def open_here() -> str:
        run = _open(config, dump)
        opened.append(run)
        return json.dumps([str(run.path.absolute()), run.resumed_step, config.ckpt_path])

    path, step, config.ckpt_path = json.loads(processes.once("run", open_here))
    if opened:
        return opened[0]
    if not Path(path).is_dir():
        raise UserError(
            f"The run's directory {path} is not on this machine: give a --runs_dir on storage that all machines share."
        )
    return RunDirectory(Path(path), resumed_step=step)


def _open(config: Namespace, dump: Callable[[], str]) -> RunDirectory:
    runs_dir, run, file = Path(config.runs_dir), None, None
    in_run = config.ckpt_path in (None, "last")
    if config.resume == "auto":
        if config.ckpt_path is not None:
            raise UserError(
                f"--resume auto finds the checkpoint itself: leave out --ckpt_path {config.ckpt_path}, or --resume."
            )
        run = runs.unfinished_run(runs_dir, config.name, dump())
        file = runs.newest_checkpoint(run) if run is not None else None
    elif config.ckpt_path == "last":
        file = runs.newest_checkpoint(runs.latest_run(runs_dir, config.name, runs.LAST))
    elif config.ckpt_path == "best":
        file = runs.latest_run(runs_dir, config.name, runs.BEST) / "checkpoints" / runs.BEST
    elif config.ckpt_path is not None:
        file = Path(config.ckpt_path)
        in_run = file.name == runs.LAST and (file.parent.parent / "config.yaml").is_file()  # no copy elsewhere
        if in_run:
            file = runs.newest_checkpoint(file.parent.parent) or file
    step = None
    if file is not None:
        checkpoint = runs.load_checkpoint(file)
        runs.check_task(checkpoint, file, config.model.class_path)
        if "optimizer_states" not in checkpoint:
            raise UserError(
                f"The checkpoint {file} has only weights, from which no training can continue: give another with "
                "--ckpt_path, or measure this one with `test`."
            )
        if TRAINED in checkpoint and config.ema_decay is None:
            raise UserError(f"{file} has averaged weights, which must be continued: give its --ema_decay too.")
        if in_run:
            run, step = file.parent.parent, int(checkpoint["global_step"])
        config.ckpt_path = str(file)
    path, lock = runs.new_run(runs_dir, config.name) if run is None else (run, runs.lock(run))
    runs.sweep(path)
    return RunDirectory(path, lock, step)


def trained_on(path: str | Path | None) -> dict[str, Any] | None:
    """A checkpoint's record of its data, for `TextDataModule.go_on_from`; None if it has none."""
    return runs.load_checkpoint(Path(path))["lightning_nlp"].get("data") if path else None
