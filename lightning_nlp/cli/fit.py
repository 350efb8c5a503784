"""`fit`: opens the run's directory, makes what the configuration names, and trains."""

import contextlib
import functools
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from jsonargparse import Namespace
from lightning import Callback, LightningModule, Trainer
from lightning.pytorch.utilities.rank_zero import rank_zero_info

from lightning_nlp.callbacks.interrupt import Interrupted
from lightning_nlp.callbacks.last_checkpoint import LastCheckpoint
from lightning_nlp.callbacks.nonfinite import NotFinite
from lightning_nlp.cli.lightning_cli import CLI
from lightning_nlp.cli.options import place_in_run
from lightning_nlp.data.base import TextDataModule
from lightning_nlp.errors import UserError
from lightning_nlp.fitting import default_callbacks
from lightning_nlp.run import processes, runs
from lightning_nlp.run.directory import RunDirectory, open_run, trained_on
from lightning_nlp.run.library_errors import lightning_errors, memory_errors, smaller_batches
from lightning_nlp.run.trainer import hardware_of, make_trainer, training_settings


def fit(cli: CLI, command_line: str) -> Path:
    """Train, test the best checkpoint, export it, and sum up; the last line on stdout is the run's directory."""
    config, started = cli.config, time.monotonic()
    if (pretrained := config.model.init_args.get("pretrained")) is not None:
        from lightning_nlp.hub.pretrained import fetch_pretrained

        fetch_pretrained(pretrained, "model")  # fails now, not after the data's preparation
    run = open_run(config, cli.dump)
    with contextlib.ExitStack() as closing:
        closing.callback(runs.unlock, run.lock)
        try:
            trainer, model, data = _set_up(cli, run, command_line)
            since_step = int(runs.load_checkpoint(Path(config.ckpt_path))["global_step"]) if config.ckpt_path else 0
        except BaseException:
            run.undo()
            raise
        if config.trainer.logger:
            from lightning_nlp.tracking.setup import ended_loggers

            closing.enter_context(ended_loggers(trainer))

        @functools.cache
        def ending() -> Any:
            from lightning_nlp.finishing import Ending  # with the export and the report

            return Ending(trainer, run.path, config, command_line, started, since_step)

        try:
            _train(trainer, model, data, config, run, ending)
        except (Interrupted, UserError) as error:
            if error.can_go_on and (run.path / "checkpoints" / runs.LAST).is_file():
                error.args = (f"{error} Go on with {cli.resume_advice(run.path, error)}.",)
            raise
    return run.path


def _set_up(cli: CLI, run: RunDirectory, command_line: str) -> tuple[Trainer, LightningModule, Any]:
    """Write config.yaml, and make what it names: the Trainer, the model and the data module."""
    config = cli.config
    if config.trainer.logger and processes.is_main_process():
        from lightning_nlp.tracking.setup import prepare_loggers

        prepare_loggers(config, run.path, resumed=run.resumed)
    else:
        config.trainer.logger = False
    run.write_config(f"# {command_line}\n{cli.dump()}")
    place_in_run(config, run.path)
    made = cli.instantiate()
    with lightning_errors():  # of --trainer.max_time
        callbacks = default_callbacks(
            run.path,
            best=made.checkpoint,
            early_stopping=made.early_stopping,
            max_time=made.trainer.pop("max_time"),
            progress=not config.quiet and config.trainer.enable_progress_bar is not False,
            **{name: config[name] for name in cli.callback_options},
        )
    trainer = make_trainer(training_settings(made.trainer.as_dict(), run), callbacks)
    if cli.in_python and trainer.world_size > 1 and trainer.strategy.launcher is not None:
        # Lightning would start the calling program again in each of them, or fork a notebook
        raise UserError(
            f"lightning_nlp.fit trains on one device, and these settings start {trainer.world_size} processes: "
            "give it trainer.devices 1, or train on the command line, or with torchrun."
        )
    return trainer, made.model, made.data


def _train(
    trainer: Trainer, model: LightningModule, data: Any, config: Namespace, run: RunDirectory, ending: Callable[[], Any]
) -> None:
    """Train, test the best checkpoint, export it and report; report too if the training breaks off after a step."""
    callbacks: list[Callback] = trainer.callbacks  # type: ignore[attr-defined]
    last = next(callback for callback in callbacks if isinstance(callback, LastCheckpoint))

    def report(state: str) -> None:
        if trainer.global_step and trainer.is_global_zero and not trainer.fast_dev_run:  # type: ignore[attr-defined]
            ending().report(state)

    def prepared() -> str:
        data.prepare_data()
        return str(data.folder)

    def smaller(evaluating: bool) -> str:
        return smaller_batches(config.data.init_args, trainer.accumulate_grad_batches, evaluating)

    rank_zero_info(f"{type(model).__name__} on {hardware_of(trainer)}, {trainer.precision}, in {run.path}")
    try:
        if isinstance(data, TextDataModule):
            data.go_on_from(trained_on(config.ckpt_path))
            # not by Lightning, where the other processes would wait in a collective, with its time limit
            data.folder = Path(processes.once("data", prepared, on_node=True))
        with lightning_errors(), processes.lost_process_errors(), memory_errors(smaller):
            trainer.fit(model, datamodule=data, ckpt_path=config.ckpt_path, weights_only=True)
        if last.requested and last.checkpoint.is_file():  # requested after the last step
            raise Interrupted(last.checkpoint, trainer.global_step, last.requested)
    except NotFinite:
        report("failed")
        raise  # the run's directory holds the step
    except BaseException as error:
        if trainer.global_step == 0 or isinstance(error, UserError | SystemExit):
            run.undo()
        if not isinstance(error, SystemExit):  # a second signal: leave at once
            report("interrupted" if isinstance(error, Interrupted) else "failed")
        raise
    if trainer.fast_dev_run:  # type: ignore[attr-defined]
        if processes.is_main_process():
            runs.discard(run.path)
        return
    try:
        with processes.lost_process_errors(), memory_errors(smaller):
            ending().finish(model, data)
    except SystemExit as stop:
        report("interrupted")
        raise Interrupted(last.checkpoint, trainer.global_step, int(stop.code or 0) - 128) from None
    except BaseException:
        report("failed")
        raise
