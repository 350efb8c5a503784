"""What `fit`, `inspect`, `validate` and `test` do with their parsed arguments."""

import contextlib
import sys
import time
from pathlib import Path

from lightning_nlp.callbacks.last_checkpoint import Interrupted
from lightning_nlp.cli.lightning_cli import CLI
from lightning_nlp.cli.options import place_in_run
from lightning_nlp.errors import UserError, lightning_errors, memory_errors, smaller_batches
from lightning_nlp.fitting import Training, default_callbacks
from lightning_nlp.run import processes, runs
from lightning_nlp.run.directory import make_trainer, open_run, trained_on


def fit(cli: CLI, command_line: str) -> Path:
    """Train, test the best checkpoint, export it, and sum up; the last line on stdout is the run's directory.

    Args:
        command_line: As it was typed, for the first line of config.yaml.

    Returns:
        The run's directory, which `fast_dev_run` has removed.
    """
    config, started = cli.config, time.monotonic()
    if (pretrained := config.model.init_args.get("pretrained")) is not None:
        from lightning_nlp.hub.pretrained import fetch_pretrained

        fetch_pretrained(pretrained, "model")  # fails now, not after the data's preparation
    run = open_run(config, cli.dump)
    try:
        try:
            if not config.trainer.logger or not processes.is_main_process():
                config.trainer.logger = False
            else:
                from lightning_nlp.tracking.setup import prepare_loggers

                prepare_loggers(config, run.path, resumed=run.resumed)
            run.write_config(f"# {command_line}\n{cli.dump()}")
            place_in_run(config, run.path)
            made = cli.instantiate()
            callbacks = default_callbacks(
                run.path,
                best=made.checkpoint,
                early_stopping=made.early_stopping,
                max_time=made.trainer.pop("max_time"),
                progress=not config.quiet and config.trainer.enable_progress_bar is not False,
                **{name: config[name] for name in cli.callback_options},
            )
            trainer = make_trainer(run.trainer_settings(made.trainer.as_dict()), callbacks)
            if cli.in_python and trainer.world_size > 1 and trainer.strategy.launcher is not None:
                # Lightning would start the calling program again in each of them, or fork a notebook
                raise UserError(
                    f"lightning_nlp.fit trains on one device, and these settings start {trainer.world_size} processes: "
                    "give it trainer.devices 1, or train on the command line, or with torchrun."
                )
        except BaseException:
            run.undo()
            raise
        loggers: contextlib.AbstractContextManager[None] = contextlib.nullcontext()
        if config.trainer.logger:
            from lightning_nlp.tracking.setup import ended_loggers

            loggers = ended_loggers(trainer)
        with loggers:
            try:
                Training(trainer, run, config, command_line, started).fit(made.model, made.data)
            except (Interrupted, UserError) as error:
                if error.can_go_on and (run.path / "checkpoints" / runs.LAST).is_file():
                    error.args = (f"{error} Go on with {cli.way_on(run.path, error)}.",)
                raise
    finally:
        runs.unlock(run.lock)
    return run.path


def validate(cli: CLI, command_line: str) -> None:
    """Measure a checkpoint on the validation part."""
    _evaluate(cli, "validate", "validation")


def test(cli: CLI, command_line: str) -> None:
    """Measure a checkpoint on the test split."""
    _evaluate(cli, "test", "test")


def _evaluate(cli: CLI, stage: str, split: str) -> None:
    from lightning_nlp.report.ending import parts_read
    from lightning_nlp.report.summary import print_metrics

    config = cli.config
    if config.ckpt_path is None:
        raise UserError(f"There is nothing to {stage}: give --run RUN, or --config and --ckpt_path FILE.")
    if stage == "validate" and config.trainer.limit_val_batches == 0:
        raise UserError("--trainer.limit_val_batches 0 leaves nothing to validate on: give a number of batches.")
    path = Path(config.ckpt_path)
    runs.check_task(runs.load_checkpoint(path), path, config.model.class_path)
    config.trainer.logger = False  # the training's metrics are not to be mixed with these
    made = cli.instantiate()
    shown = made.trainer.enable_progress_bar is not False and sys.stdout.isatty()
    trainer = make_trainer(made.trainer.as_dict() | {"enable_checkpointing": False, "enable_progress_bar": shown}, [])
    if hasattr(made.data, "go_on_from"):
        made.data.go_on_from(trained_on(path))
    with lightning_errors(), memory_errors(lambda _: smaller_batches(config.data.init_args)):
        measure = trainer.validate if stage == "validate" else trainer.test
        (metrics,) = measure(made.model, made.data, ckpt_path=str(path), weights_only=True, verbose=False)
    if trainer.is_global_zero:
        title = ", on ".join([f"{stage}: {path}", *parts_read(made.data, [split]).values()])
        print_metrics(title, dict(metrics))


def inspect(cli: CLI, command_line: str) -> None:
    """Look at the data before the training; exit code 1 for severe findings."""
    from lightning_nlp.inspection.command import inspect_data

    cli.config.trainer.logger = False
    with lightning_errors():
        if inspect_data(cli.instantiate().data, cli.config.json):
            sys.exit(1)


COMMANDS = {"fit": fit, "inspect": inspect, "validate": validate, "test": test}
