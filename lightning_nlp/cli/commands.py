"""What `validate`, `test`, `inspect`, `predict` and `configs` do; `fit` has a file of its own."""

import sys
from functools import partial
from pathlib import Path

from jsonargparse import ArgumentParser

from lightning_nlp.cli.config_file import configs
from lightning_nlp.cli.lightning_cli import CLI, PARSER
from lightning_nlp.errors import PROGRAM, UserError
from lightning_nlp.run import runs
from lightning_nlp.run.directory import trained_on
from lightning_nlp.run.library_errors import lightning_errors, resource_errors, smaller_batches
from lightning_nlp.run.trainer import make_trainer


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
    with lightning_errors(), resource_errors(partial(smaller_batches, config.data.init_args, 1)):
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


def without_trainer(command: str, arguments: list[str]) -> None:
    """Run `predict` or `configs`, whose arguments are those of a function."""
    from lightning_nlp.predict.command import predict

    function = configs if command == "configs" else predict
    parser = ArgumentParser(prog=f"{PROGRAM} {command}", **PARSER)
    parser.add_function_arguments(function)
    parser.add_argument("--debug", type=bool, default=False, help="Show the traceback of an error.")
    options = parser.parse_args(arguments).as_dict()
    del options["debug"]
    function(**options)
