"""LightningCLI as the parser of one command: `fit`, `inspect`, `validate` or `test`."""

import logging
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal

import yaml
from datasets.utils.logging import disable_progress_bar
from jsonargparse import ActionYesNo, Namespace
from lightning import Callback, LightningDataModule, LightningModule, Trainer
from lightning.pytorch.cli import LightningArgumentParser, LightningCLI
from lightning.pytorch.loggers import CSVLogger, Logger, TensorBoardLogger
from lightning.pytorch.utilities.exceptions import MisconfigurationException

from lightning_nlp.callbacks.best_checkpoint import BestCheckpoint
from lightning_nlp.callbacks.early_stopping import EarlyStop
from lightning_nlp.cli.checks import check_names, check_nulls, check_seed, check_settings, fill_in
from lightning_nlp.cli.options import check_options, place_in_run
from lightning_nlp.errors import PROGRAM, UserError, one_line
from lightning_nlp.fitting import default_callbacks
from lightning_nlp.private_api import keep_whole_numbers
from lightning_nlp.run import processes
from lightning_nlp.run.directory import RunDirectory
from lightning_nlp.run.library_errors import lightning_errors
from lightning_nlp.run.trainer import make_trainer, training_settings

# No abbreviations: a typo must not set another option.
PARSER: dict[str, Any] = {"exit_on_error": False, "allow_abbrev": False}

CALIBRATE = "Scale the exported classifier's probabilities by a temperature fitted on the validation split."
# Of all commands: name, type, default, explanation.
ARGUMENTS: list[tuple[str, Any, Any, str]] = [
    ("runs_dir", str, "runs", "Where runs keep their directories."),
    ("name", str | None, None, "The run's name; null means the stem of the yaml file."),
    ("debug", bool, False, "Show the traceback of an error."),
    ("quiet", bool, False, "Print only warnings, errors and results."),
    ("calibrate", bool, True, CALIBRATE),
]
SWITCHES = {
    "offline": "Keep the W&B run on the local disk.",
    "upload_export": "Send the export to W&B at the end, as a model artifact.",
}
# Options that config.yaml omits, because they belong to this one command.
NOT_IN_CONFIG = "config ckpt_path resume quiet debug print_config offline upload_export".split()

# The parser would require their directory before the run's is known (`options.place_in_run`).
for _logger in (CSVLogger, TensorBoardLogger):
    _logger.__init__.__defaults__ = (None, *(_logger.__init__.__defaults__ or ()))


class CLI(LightningCLI):
    """The parsed and checked arguments of one command, as `config`; `instantiate` makes what they name.

    LightningCLI does both at once. Here, `fit` opens the run's directory in between, and then calls `set_up`.

    Args:
        in_python: Whether `lightning_nlp.fit` was called, for the wording of advice.
    """

    def __init__(self, command: str, arguments: Sequence[str], description: str, *, in_python: bool = False) -> None:
        self.command, self.in_python = command, in_python
        super().__init__(
            LightningModule,
            LightningDataModule,
            run=False,  # without Lightning's subcommands
            subclass_mode_model=True,
            subclass_mode_data=True,
            seed_everything_default=42,
            auto_configure_optimizers=False,  # the modules have theirs
            load_from_checkpoint_support=False,  # a checkpoint must not choose a class to import
            parser_kwargs=PARSER | {"prog": f"{PROGRAM} {command}", "description": description},
            trainer_defaults={"enable_model_summary": False, "num_sanity_val_steps": 0},
            args=list(arguments),
        )

    def add_arguments_to_parser(self, parser: LightningArgumentParser) -> None:
        """Add the arguments of a run and of this command."""
        for name, kind, default, explained in ARGUMENTS:
            parser.add_argument(f"--{name}", type=kind, default=default, help=explained)
        # elsewhere in the configuration
        skipped: set[str | int] = {"run_dir", "best", "early_stopping", "max_time", "progress"}
        self.callback_options = parser.add_function_arguments(default_callbacks, skip=skipped)
        parser.add_lightning_class_args(EarlyStop, "early_stopping")
        parser.add_lightning_class_args(BestCheckpoint, "checkpoint")
        if self.command == "inspect":
            explained = "A file for all facts; replaced if it exists."
            parser.add_argument("--json", type=str | None, help=explained)
            return
        parser.add_argument("--ckpt_path", type=str | None, help="A checkpoint's file, or last or best, of this run.")
        if self.command == "fit":
            explained = "auto: continue the newest run of this configuration if it is unfinished, or start a new one."
            parser.add_argument("--resume", type=Literal["auto"] | None, help=explained)
            for name, explained in SWITCHES.items():
                parser.add_argument(f"--{name}", action=ActionYesNo, nargs="?", help=explained)
        else:
            # `split_run_arguments` replaces it by the run's config.yaml and checkpoint
            parser.add_argument("--run", type=str | None, help="A run's directory, e.g. runs/cls/0.")

    def parse_arguments(self, parser: LightningArgumentParser, args: Any) -> None:
        """Parse `args`, and draw the seed if asked to."""
        keep_whole_numbers(parser)
        self.config = parser.parse_args(args)
        self.config.seed_everything = check_seed(self.config.seed_everything, resume=self.config.get("resume"))

    def before_instantiate_classes(self) -> None:
        """Fill in what depends on other arguments or on the machine, and check the settings."""
        config = self.config
        if config.quiet:
            silence_notices()
        fill_in(config)
        check_names(config)
        for section in ("model", "data"):
            check_nulls(section, config[section])
        check_options(config, training=self.command == "fit")
        check_settings(config)
        pretrained = config.model.init_args.get("pretrained")
        if self.command == "fit" and pretrained is not None:
            from lightning_nlp.hub.pretrained import fetch_pretrained

            fetch_pretrained(pretrained, "model")  # fails now, not after the data's preparation

    def instantiate_classes(self) -> None:
        """Do nothing yet: see `instantiate`."""

    def instantiate(self) -> Namespace:
        """Create the objects named by the configuration, or raise a UserError.

        Returns:
            The configuration with the objects `model`, `data`, `early_stopping` and `checkpoint`, and with callbacks,
            loggers and plugins in `trainer`, which still contains a Trainer's arguments.
        """
        mistakes: list[UserError] = []  # the parser would bury them in a list of types it tried

        def make(cls: type, *args: Any, **kwargs: Any) -> Any:
            try:
                return cls(*args, **kwargs)
            except Exception as error:
                if isinstance(error, UserError):
                    mistakes.append(error)
                elif issubclass(cls, Callback | Logger):
                    missing = isinstance(error, ImportError)
                    cure = "install that, or leave it out" if missing else "give it other arguments"
                    mistakes.append(UserError(f"{cls.__name__} cannot be created ({one_line(error)}): {cure}."))
                    mistakes[-1].__cause__ = error
                raise

        bases = (LightningModule, LightningDataModule, Callback, Logger)
        try:
            return self.parser.instantiate(self.config, instantiators=[(make, base, True) for base in bases])
        except MisconfigurationException as error:
            raise UserError(f"The training cannot be set up: {one_line(error)}") from error
        except Exception:
            if not mistakes:
                raise
            raise mistakes[-1] from mistakes[-1].__cause__

    def set_up(self, run: RunDirectory, command_line: str) -> tuple[Trainer, LightningModule, Any]:
        """Write a run's config.yaml, and make what it names: the Trainer, the model and the data module."""
        config = self.config
        if config.trainer.logger and processes.is_main_process():
            from lightning_nlp.tracking.setup import prepare_loggers

            prepare_loggers(config, run.path, resumed=run.resumed)
        else:
            config.trainer.logger = False
        run.write_config(f"# {command_line}\n{self.dump()}")
        place_in_run(config, run.path)  # only now: config.yaml may start another run
        made = self.instantiate()
        with lightning_errors():  # of --trainer.max_time
            callbacks = default_callbacks(
                run.path,
                best=made.checkpoint,
                early_stopping=made.early_stopping,
                max_time=made.trainer.pop("max_time"),
                progress=not config.quiet and config.trainer.enable_progress_bar is not False,
                **{name: config[name] for name in self.callback_options},
            )
        trainer = make_trainer(training_settings(made.trainer.as_dict(), run), callbacks)
        if self.in_python and trainer.world_size > 1 and trainer.strategy.launcher is not None:
            # Lightning would start the calling program again in each of them, or fork a notebook
            raise UserError(
                f"lightning_nlp.fit trains on one device, and these settings start {trainer.world_size} processes: "
                "give it trainer.devices 1, or train on the command line, or with torchrun."
            )
        return trainer, made.model, made.data

    def resume_advice(self, run_dir: Path, error: Exception) -> str:
        """How to resume a training that an error or an interrupt has ended."""
        if self.in_python:
            return f"lightning_nlp.open_run({str(run_dir)!r}).resume()"
        if self.config.resume != "auto":
            return "the same command and --ckpt_path last"
        # --resume auto finds a run by its settings, which a fix may change
        changed = " and --ckpt_path last in place of --resume auto" if isinstance(error, UserError) else ""
        return f"the same command{changed}"

    def dump(self) -> str:
        """The configuration as the text of config.yaml."""
        kept = self.config.clone()
        for key in NOT_IN_CONFIG:
            kept.pop(key, None)
        try:
            text = str(self.parser.dump(kept, skip_unset=False, skip_validation=True, with_comments=True))
        except yaml.YAMLError as error:  # a default of a user's class
            raise UserError(f"config.yaml cannot hold a setting ({one_line(error)}): give a plain value.") from error
        # the comments list all imported classes, perhaps others in a resumed run
        return re.sub(r", known subclasses: [^()]*\)$", ")", text, flags=re.MULTILINE)


def silence_notices() -> None:
    """Show only warnings and errors from here on; `quiet_libraries` ends it."""
    logging.getLogger("lightning.pytorch.utilities.rank_zero").setLevel(logging.WARNING)
    disable_progress_bar()
