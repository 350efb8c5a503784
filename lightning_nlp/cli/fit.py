"""`fit`: opens the run's directory, trains, and has the result tested and exported (`finishing.py`)."""

import contextlib
import functools
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from jsonargparse import Namespace
from lightning import LightningModule, Trainer
from lightning.pytorch.utilities.rank_zero import rank_zero_info

from lightning_nlp.callbacks.interrupt import Interrupted
from lightning_nlp.callbacks.last_checkpoint import LastCheckpoint
from lightning_nlp.callbacks.nonfinite import NotFinite
from lightning_nlp.cli.lightning_cli import CLI
from lightning_nlp.data.base import TextDataModule
from lightning_nlp.errors import UserError
from lightning_nlp.run import processes, runs
from lightning_nlp.run.directory import RunDirectory, open_run, trained_on
from lightning_nlp.run.library_errors import lightning_errors, resource_errors, smaller_batches
from lightning_nlp.run.trainer import hardware_of


def fit(cli: CLI, command_line: str) -> Path:
    """Train, test the best checkpoint, export it, and sum up; the last line on stdout is the run's directory."""
    config, started = cli.config, time.monotonic()
    run = open_run(config, cli.dump)
    with contextlib.ExitStack() as closing:
        closing.callback(runs.unlock, run.lock)
        try:
            trainer, model, data = cli.set_up(run, command_line)
            since_step = int(runs.load_checkpoint(Path(config.ckpt_path))["global_step"]) if config.ckpt_path else 0
        except BaseException:
            run.undo()
            raise
        if config.trainer.logger:
            from lightning_nlp.tracking.setup import ended_loggers

            closing.enter_context(ended_loggers(trainer))

        def ending() -> Any:
            from lightning_nlp.finishing import Ending  # it imports the export and the report

            return Ending(trainer, run.path, config, command_line, started, since_step)

        try:
            _train(trainer, model, data, config, run, ending)
            if not config.trainer.fast_dev_run:
                ending().finish(model, data)
            elif processes.is_main_process():
                runs.discard(run.path)
        except (Interrupted, UserError) as error:
            if error.can_go_on and (run.path / "checkpoints" / runs.LAST).is_file():
                error.args = (f"{error} Go on with {cli.resume_advice(run.path, error)}.",)
            raise
    return run.path


def _train(
    trainer: Trainer, model: LightningModule, data: Any, config: Namespace, run: RunDirectory, ending: Callable[[], Any]
) -> None:
    """Prepare the data and train; a training that breaks off after its first step is reported too."""
    last = next(c for c in trainer.callbacks if isinstance(c, LastCheckpoint))  # type: ignore[attr-defined]

    def prepared() -> str:
        data.prepare_data()
        return str(data.folder)

    rank_zero_info(f"{type(model).__name__} on {hardware_of(trainer)}, {trainer.precision}, in {run.path}")
    cure = functools.partial(smaller_batches, config.data.init_args, trainer.accumulate_grad_batches)
    try:
        if isinstance(data, TextDataModule):
            data.go_on_from(trained_on(config.ckpt_path))
            # not by Lightning, where the other processes would wait in a collective, with its time limit
            data.folder = Path(processes.once("data", prepared, on_node=True))
        with lightning_errors(), processes.lost_process_errors(), resource_errors(cure):
            trainer.fit(model, datamodule=data, ckpt_path=config.ckpt_path, weights_only=True)
        if last.requested and last.checkpoint.is_file():  # a signal came after the last step
            raise Interrupted(last.checkpoint, trainer.global_step, last.requested)
    except BaseException as error:
        exiting = isinstance(error, SystemExit)  # a second signal: leave at once
        undo = exiting or isinstance(error, UserError) or trainer.global_step == 0
        if undo and not isinstance(error, NotFinite):  # which saved the step in the run's directory
            run.undo()
        if trainer.global_step and trainer.is_global_zero and not (exiting or config.trainer.fast_dev_run):
            ending().report("interrupted" if isinstance(error, Interrupted) else "failed")
        raise
