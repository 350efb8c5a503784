"""The command line: `fit`, `inspect`, `validate`, `test` and `predict`, on LightningCLI."""

from __future__ import annotations

import contextlib
import io
import os
import shlex
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal

import torch
import yaml
from jsonargparse import ActionYesNo, ArgumentError, ArgumentParser, Namespace
from jsonargparse.typing import PositiveFloat
from lightning import Callback, LightningDataModule, LightningModule, Trainer
from lightning.pytorch.cli import LightningArgumentParser, LightningCLI
from lightning.pytorch.loggers import Logger
from lightning.pytorch.plugins import CheckpointIO
from lightning.pytorch.utilities.exceptions import MisconfigurationException

from lightning_nlp.callbacks.divergence import Divergence
from lightning_nlp.callbacks.ema import WeightAverage
from lightning_nlp.callbacks.evaluation import Evaluation
from lightning_nlp.callbacks.last_checkpoint import SIGNALS, Interrupted, LastCheckpoint, exit_on_signals
from lightning_nlp.callbacks.nonfinite import NonFiniteSteps
from lightning_nlp.callbacks.progress import Progress, progress_callbacks
from lightning_nlp.callbacks.random_state import RandomState
from lightning_nlp.callbacks.resume_position import ResumePosition
from lightning_nlp.callbacks.throughput import Throughput
from lightning_nlp.cli.arguments import class_help, explain_parse_error, find_configs, split_run_arguments
from lightning_nlp.cli.checks import check_names, check_nulls, check_seed, check_settings, fill_in
from lightning_nlp.cli.options import OWN, add_own_arguments, check_options, options_help, place_in_run
from lightning_nlp.cli.output import quiet_libraries, silence_notices
from lightning_nlp.errors import UserError, how_to_go_on, lightning_errors, memory_errors, one_line, printable
from lightning_nlp.fitting import Training, parts_read, smaller_batches
from lightning_nlp.hub.pretrained import fetch_pretrained
from lightning_nlp.inspection.command import inspect_data
from lightning_nlp.inspection.data_facts import DataFacts
from lightning_nlp.predict.command import add_predict_arguments, predict
from lightning_nlp.report.summary import print_metrics
from lightning_nlp.run import processes, runs
from lightning_nlp.run.checkpoint_io import WholeFiles
from lightning_nlp.run.directory import RunDirectory, open_run, trained_on
from lightning_nlp.run.metrics_csv import MetricsCSV
from lightning_nlp.tracking.setup import ended_loggers, prepare_loggers

# Imported so that the yaml files may name them without their modules.
from lightning_nlp.data import datamodules  # noqa: F401  isort:skip
from lightning_nlp.models import classification, mlm  # noqa: F401  isort:skip

# What a run's config.yaml does not repeat: how this one command was to start, and where.
NOT_IN_CONFIG = (
    "config",
    "ckpt_path",
    "resume",
    "quiet",
    "weights_only",
    "verbose",
    "debug",
    "print_config",
    "offline",
    "upload_export",
)

# A prefix of an option's name is no option: a typing error must not set another one.
PARSER: dict[str, Any] = {"exit_on_error": False, "allow_abbrev": False}


class CLI(LightningCLI):
    """LightningCLI with a directory for each run, a test and an export after `fit`, and no surprises."""

    def __init__(self, arguments: Sequence[str], command: str) -> None:
        self.command = command
        self.run: RunDirectory | None = None
        self.run_dir: Path | None = None
        self.started = time.monotonic()
        self.mistake: UserError | None = None
        try:
            self._run(arguments)
        finally:
            if self.run is not None:
                self.run.unlock()

    def _run(self, arguments: Sequence[str]) -> None:
        super().__init__(
            LightningModule,
            LightningDataModule,
            subclass_mode_model=True,
            subclass_mode_data=True,
            seed_everything_default=42,
            save_config_callback=None,  # written by `_write_config`, whole, before anything else writes
            auto_configure_optimizers=False,  # a --lr_scheduler here would step once an epoch; the modules own theirs
            load_from_checkpoint_support=False,  # it works without, and a checkpoint names no class to import
            parser_kwargs={name: dict(PARSER) for name in ("fit", "validate", "test")} | PARSER | {"prog": "train.py"},
            trainer_defaults={"enable_model_summary": False, "num_sanity_val_steps": 0},
            args=list(arguments),
        )

    @staticmethod
    def subcommands() -> dict[str, set[str]]:
        """The Trainer's methods on offer; `predict` is our own."""
        return {name: methods for name, methods in LightningCLI.subcommands().items() if name != "predict"}

    def _add_subcommands(self, parser: LightningArgumentParser, **kwargs: Any) -> None:
        super()._add_subcommands(parser, **kwargs)
        # only for --help: `main` sends the command elsewhere, since it needs neither Trainer nor data module
        assert parser._subcommands_action is not None
        parser._subcommands_action.add_subcommand("predict", predict_parser(), help="Predict for a file of texts.")
        # no method of the Trainer, from which super() makes the others
        inspector = self._subcommand_parsers["inspect"] = self.init_parser(**PARSER)
        self._add_arguments(inspector)
        inspector.add_argument(
            "--json", type=str | None, help="A file to write all facts to; an older one is replaced."
        )
        parser._subcommands_action.add_subcommand("inspect", inspector, help="Look at the data before the training.")

    def _prepare_subcommand_parser(self, klass: type, subcommand: str, **kwargs: Any) -> LightningArgumentParser:
        parser = super()._prepare_subcommand_parser(klass, subcommand, **kwargs)
        parser.set_defaults({"weights_only": True})
        if subcommand == "fit":
            parser.add_argument(
                "--resume",
                type=Literal["auto"] | None,
                help="auto: go on with the newest run of this configuration if it is unfinished, or start one.",
            )
            parser.add_argument("--offline", action=ActionYesNo, help="Keep W&B's run on this disk.")
            parser.add_argument(
                "--upload_export", action=ActionYesNo, help="Send the export to W&B at the end, as a model artifact."
            )
        else:
            # read by `main`, which puts the run's config.yaml and best checkpoint in its place
            parser.add_argument("--run", type=str | None, help="A run's directory, such as runs/cls/0.")
        return parser

    def add_arguments_to_parser(self, parser: LightningArgumentParser) -> None:
        """The run's own arguments, and the two callbacks that every run has."""
        parser.add_argument("--runs_dir", type=str, default="runs", help="Where runs keep their directories.")
        parser.add_argument("--name", type=str | None, help="The run's name; null takes the stem of the yaml file.")
        parser.add_argument(
            "--save_minutes",
            type=PositiveFloat,
            default=10.0,
            help="Write last.ckpt when it is so old, besides after each validation.",
        )
        parser.add_argument("--debug", type=bool, default=False, help="Show the traceback of an error.")
        parser.add_argument("--quiet", type=bool, default=False, help="Print warnings, errors and results only.")
        parser.add_argument(
            "--peak_tflops",
            type=float | None,
            help="Dense TFLOP/s of one device, for perf/mfu; null knows the usual GPUs, and measures a CPU.",
        )
        parser.add_argument(
            "--skip_nonfinite",
            type=int,
            default=0,
            help="Leave out so many steps whose loss or gradient is not finite, instead of stopping at the first.",
        )
        parser.add_argument(
            "--probes",
            type=list[str] | None,
            help="Sentences with [MASK] that a masked language model fills at each validation and in the end.",
        )
        parser.add_argument(
            "--calibrate",
            type=bool,
            default=True,
            help="Scale the exported classifier's probabilities by a temperature fitted on the validation split.",
        )
        parser.add_argument(
            "--ema_decay",
            type=float | None,
            help="Validate, test and export a moving average of the weights, of which a step keeps so much: 0.999.",
        )
        add_own_arguments(parser)

    def parse_arguments(self, parser: LightningArgumentParser, args: Any) -> None:
        """Parse `args`, whatever else stands in sys.argv."""
        self.config = parser.parse_args(args)
        config = self.config[self.config.subcommand]
        config.seed_everything = check_seed(config.seed_everything, resume=config.get("resume"))

    def _parse_ckpt_path(self) -> None:
        """Do not read hyperparameters from the checkpoint: the command line wins (PL#20310)."""

    def before_instantiate_classes(self) -> None:
        """Fill in what depends on other arguments or on the machine, and make the run's directory."""
        config = self.config[self.subcommand]
        if config.quiet:
            silence_notices()
        fill_in(config)
        check_names(config)
        for section in ("model", "data"):
            check_nulls(section, config[section])
        check_options(config, training=self.subcommand == "fit")
        check_settings(config)
        if self.subcommand == "fit":
            self._begin_run(config)
        else:
            config.trainer.logger = False  # its metrics must not mix with those of the training

    def _begin_run(self, config: Namespace) -> None:
        if config.model.init_args.get("pretrained") is not None:
            fetch_pretrained(config.model.init_args.pretrained, "model")  # fails now, not after the data's preparation
        self.run = open_run(config, self._dump(config))
        self.run_dir = self.run.path
        self.metrics_csv = MetricsCSV(self.run_dir / "metrics.csv", resume_step=self.run.resumed_step)
        try:
            if processes.is_first():
                prepare_loggers(config, self.run_dir, resumed=self.run.resumed)
            else:
                config.trainer.logger = False
            self.run.write_config(f"# {self.command}\n{self._dump(config)}")
            place_in_run(config, self.run_dir)
        except BaseException:
            self.run.undo()
            raise

    def _dump(self, config: Namespace) -> str:
        kept = config.clone()
        for key in NOT_IN_CONFIG:
            kept.pop(key, None)
        try:
            parser = self._parser(self.subcommand)
            return str(parser.dump(kept, skip_unset=False, skip_validation=True, with_comments=True))
        except yaml.YAMLError as error:  # the default of a class of the user's own
            raise UserError(f"config.yaml cannot hold a setting ({one_line(error)}): give a plain value.") from error

    def _add_instantiators(self) -> None:
        """None but those of `instantiate_classes`, which Lightning would call by a name that is deprecated."""

    def instantiate_classes(self) -> None:
        """Instantiate all; if that fails, leave nothing behind."""
        bases = (LightningModule, LightningDataModule, Callback, Logger)
        instantiators = [(self._instantiate, base, True) for base in bases]
        try:
            self.config_init = self.parser.instantiate(self.config, instantiators=instantiators)
            self.model, self.datamodule = (self._get(self.config_init, key) for key in ("model", "data"))
            self.trainer = self.instantiate_trainer()
        except BaseException as error:
            if self.run is not None:
                self.run.undo()
            if isinstance(error, MisconfigurationException):
                raise UserError(f"The training cannot be set up: {one_line(error)}") from error
            raise (self.mistake or error) from (self.mistake and self.mistake.__cause__)

    def _instantiate(self, cls: type, *args: Any, **kwargs: Any) -> Any:
        try:
            return cls(*args, **kwargs)
        except UserError as error:
            self.mistake = error  # the parser hides what is raised here in a list of all the types that it tried
            raise
        except Exception as error:
            if issubclass(cls, Callback | Logger):
                cure = "install that, or leave it out" if isinstance(error, ImportError) else "give it other arguments"
                self.mistake = UserError(f"{cls.__name__} cannot be made ({one_line(error)}): {cure}.")
                self.mistake.__cause__ = error
            raise

    def instantiate_trainer(self, **kwargs: Any) -> Trainer:
        """The Trainer, with the callbacks that every run has and metrics.csv before the other loggers."""
        config = {**self._get(self.config_init, "trainer"), **kwargs}
        if self.subcommand != "fit":
            shown = config["enable_progress_bar"] is not False and sys.stdout.isatty()
            return self._make_trainer(config | {"enable_checkpointing": False, "enable_progress_bar": shown}, [])
        assert self.run_dir is not None
        plugins = config["plugins"] or []
        plugins = plugins if isinstance(plugins, list) else [plugins]
        own_io = any(isinstance(plugin, CheckpointIO) for plugin in plugins)
        config["plugins"] = plugins if own_io else [*plugins, WholeFiles()]
        configured = config["logger"] if isinstance(config["logger"], list) else []
        config["logger"] = [self.metrics_csv, *configured]
        self.throughput = Throughput(self._get(self.config, "peak_tflops"))
        self.last = LastCheckpoint(
            self.run_dir / "checkpoints" / runs.LAST, self._get(self.config, "save_minutes"), config.pop("max_time")
        )
        config["default_root_dir"] = str(self.run_dir)
        early_stop, self.best = (self._get(self.config_init, key) for key in OWN)
        self.best.dirpath = os.path.realpath(self.run_dir / "checkpoints")
        nonfinite = NonFiniteSteps(self.run_dir / "nonfinite", self._get(self.config, "skip_nonfinite"))
        evaluation = Evaluation(self.run_dir / "evaluation", self.best, self._get(self.config, "probes"))
        own = [
            early_stop,
            self.best,
            ResumePosition(),
            DataFacts(self.run_dir),
            nonfinite,
            Divergence(),
            self.throughput,
            RandomState(),
            evaluation,
            self.last,
        ]
        if (decay := self._get(self.config, "ema_decay")) is not None:
            own.append(WeightAverage(decay))
        quiet = self._get(self.config, "quiet")
        own += progress_callbacks(self.best, enabled=not quiet and config["enable_progress_bar"] is not False)
        config["enable_progress_bar"] = any(isinstance(callback, Progress) for callback in own)
        return self._make_trainer(config, own)

    def _make_trainer(self, config: dict[str, Any], callbacks: list[Any]) -> Trainer:
        try:
            return self._instantiate_trainer(config, callbacks)
        except (ValueError, TypeError, ImportError, RuntimeError, MisconfigurationException) as error:
            given = ", ".join(f"{name} {config[name]}" for name in ("accelerator", "devices", "strategy", "profiler"))
            raise UserError(
                f"The Trainer does not take these --trainer arguments: {one_line(error)} (it was given {given}.)"
            ) from error

    def _run_subcommand(self, subcommand: str) -> None:
        if subcommand != "inspect":
            return super()._run_subcommand(subcommand)
        with lightning_errors():
            if inspect_data(self.datamodule, self.config[subcommand].json):
                sys.exit(1)

    def fit(self, model: LightningModule, datamodule: LightningDataModule, **kwargs: Any) -> None:
        """Train, test the best checkpoint, export it, and sum up; the last line on stdout is the run's directory."""
        assert self.run is not None
        training = Training(
            self.trainer,
            self.run,
            self.config.fit,
            command=self.command,
            started=self.started,
            throughput=self.throughput,
            last=self.last,
            best=self.best,
        )
        with ended_loggers(self.trainer):
            try:
                training.fit(model, datamodule, **kwargs)
            except (Interrupted, UserError) as error:
                error.args = (how_to_go_on(str(error), self.config.fit.resume),)
                raise

    def validate(self, model: LightningModule, datamodule: LightningDataModule, **kwargs: Any) -> None:
        """Measure a checkpoint on the validation part."""
        self._evaluate("validate", model, datamodule, kwargs)

    def test(self, model: LightningModule, datamodule: LightningDataModule, **kwargs: Any) -> None:
        """Measure a checkpoint on the test split."""
        self._evaluate("test", model, datamodule, kwargs)

    def _evaluate(
        self, stage: str, model: LightningModule, datamodule: LightningDataModule, kwargs: dict[str, Any]
    ) -> None:
        config = self.config[stage]
        if config.ckpt_path is None:
            raise UserError(f"There is nothing to {stage}: give --run RUN, or --config and --ckpt_path FILE.")
        if stage == "validate" and config.trainer.limit_val_batches == 0:
            raise UserError("--trainer.limit_val_batches 0 leaves nothing to validate on: give a number of batches.")
        checkpoint = runs.load_checkpoint(Path(config.ckpt_path))
        runs.check_task(checkpoint, Path(config.ckpt_path), config.model.class_path)
        if hasattr(datamodule, "go_on_from"):
            datamodule.go_on_from(trained_on(config.ckpt_path))
        with lightning_errors(), memory_errors(lambda _: smaller_batches(config.data.init_args)):
            (metrics,) = getattr(self.trainer, stage)(model, datamodule=datamodule, **{**kwargs, "verbose": False})
        if self.trainer.is_global_zero:
            parts = parts_read(datamodule, ["test" if stage == "test" else "validation"])
            print_metrics(", on ".join([f"{stage}: {config.ckpt_path}", *parts.values()]), metrics)


def predict_parser() -> ArgumentParser:
    """The arguments of `predict`."""
    parser = ArgumentParser(
        prog="train.py predict", description="Predict for a file of texts with a trained run.", **PARSER
    )
    add_predict_arguments(parser)
    return parser


def run(arguments: list[str]) -> None:
    """Run one command.

    Raises:
        UserError: If something is wrong with it, or with the input that it names.
        Interrupted: If a signal or the time limit ended the training, which is saved.
    """
    quiet_libraries()
    torch.set_float32_matmul_precision("high")
    try:
        if arguments[:1] == ["predict"]:
            options = predict_parser().parse_args(arguments[1:])
            predict(**{name: value for name, value in options.as_dict().items() if name != "debug"})
        else:
            CLI(split_run_arguments(find_configs(arguments)), shlex.join(["python", "train.py", *arguments]))
    except SystemExit as stop:
        if not stop.code and arguments[0] != "predict" and {"--help", "-h"} & set(arguments[1:]):
            print(f"{class_help()}\n{options_help()}")
        raise
    except ArgumentError as error:
        command = arguments[0] if arguments else ""
        raise UserError(explain_parse_error(error, command, lambda: shown_help(command))) from error


def shown_help(command: str) -> str:
    """What `--help` prints for a subcommand."""
    with contextlib.redirect_stdout(io.StringIO()) as shown, contextlib.suppress(SystemExit):
        run([command, "--help"])
    return shown.getvalue()


def main(args: Sequence[str] | None = None) -> None:
    """The program: exit code 0 for success, 2 for a user's mistake, 128 + n after signal n.

    A time limit (`--trainer.max_time`) counts as SIGALRM: 142. `inspect` gives 1 for severe findings.
    """
    arguments = list(sys.argv[1:] if args is None else args)
    for i, argument in enumerate(arguments):
        if argument == "--debug" and all(after.startswith("-") for after in arguments[i + 1 : i + 2]):
            arguments[i] = "--debug=true"
    debug = "--debug=true" in arguments or "--debug true" in " ".join(arguments)
    try:
        with exit_on_signals():
            run(arguments)
            processes.part()
    except UserError as error:
        if debug:
            raise
        processes.tell_last_words(printable(str(error)))
        sys.exit(2)
    except processes.PeerLost as error:
        processes.tell_last_words(f"{error}: see what it said, and go on with the same command and --resume auto.")
        sys.exit(1)
    except processes.FirstFailed:
        processes.wait_for_the_first()  # it says why
        sys.exit(2)
    except Interrupted as stop:
        processes.part()
        if processes.started_by_lightning():
            sys.exit(0)  # else Lightning kills the first process, which has not told of it yet
        if not processes.is_first():
            sys.exit(128 + stop.number)
        print(stop, file=sys.stderr)
        sys.exit(128 + stop.number)
    except SystemExit as stop:
        if stop.code in {128 + number for number in SIGNALS}:
            print("Interrupted.", file=sys.stderr)
        raise


if __name__ == "__main__":
    main()
