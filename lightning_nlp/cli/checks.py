"""Checks of a parsed configuration, before anything is created from it; fills in nulls."""

import importlib
import os
import re
import secrets
from pathlib import Path
from typing import Any, get_args, get_type_hints

from jsonargparse import Namespace
from lightning.pytorch.plugins.environments import SLURMEnvironment, TorchElasticEnvironment
from lightning.pytorch.utilities.rank_zero import rank_zero_info

from lightning_nlp.cli.options import CALLBACKS, named_classes, row_of
from lightning_nlp.errors import UserError
from lightning_nlp.evaluation.probes import MASK
from lightning_nlp.privacy import check_secrets, home_as_tilde
from lightning_nlp.run import processes
from lightning_nlp.tasks import TASKS
from lightning_nlp.training.precision import default_precision

# Minimum sensible values, where the Trainer itself would silently accept less.
LEAST = {
    "trainer.accumulate_grad_batches": 1,
    "trainer.check_val_every_n_epoch": 1,
    "trainer.gradient_clip_val": 0,
    "trainer.log_every_n_steps": 0,
    "trainer.min_epochs": 0,
    "trainer.min_steps": 0,
    "trainer.num_sanity_val_steps": -1,
    "early_stopping.patience": 0,
    "save_minutes": 0,
}
# Settings that must not be 0, and why.
NOT_ZERO = {
    "save_minutes": "would write last.ckpt at each step: give a number above 0",
    "trainer.limit_train_batches": "leaves nothing to train on: give a number of batches or null",
    "trainer.limit_test_batches": "leaves nothing to test on: give a number of batches or null",
    "trainer.val_check_interval": "would never validate: give a fraction of an epoch or a number of batches",
    "trainer.max_epochs": "trains nothing, and an untrained model is no result: give 1 or more",
    "trainer.max_steps": "trains nothing, and an untrained model is no result: give 1 or more",
}
STREAM_VALIDATION = 0.1  # of the training: a stream has no epochs to validate after
# Strategies that do not work, by name, and why.
STRATEGIES = {
    "spawn|fork|notebook": "leaves the trained weights in the processes it starts",
    "fsdp|deepspeed|model_?parallel": "shards the model, which is not supported",
}
MOST_SEED = 2**32 - 1  # NumPy's
MOST_NAME_BYTES = 200  # file systems allow 255, and some files have longer names than the run


def fill_in(config: Namespace) -> None:
    """Replace nulls by their values, so that config.yaml records the values used."""
    data, model = config.data.init_args, config.model.init_args
    if data.get("tokenizer") is None and "tokenizer" in data:
        data.tokenizer = model.get("pretrained")
    if data.get("seed") is None and "seed" in data:
        data.seed = config.seed_everything
    # keeps the home folder's name out of config.yaml, hyperparameters and W&B; whoever reads them expands it
    for section, name in ((data, "path"), (data, "tokenizer"), (data, "cache_dir"), (model, "pretrained")):
        if isinstance(section.get(name), str):
            section[name] = home_as_tilde(section[name])
    config.runs_dir = os.path.expanduser(config.runs_dir)
    if config.trainer.precision is None:
        config.trainer.precision = default_precision(config.trainer.accelerator)
    if "shuffle_rows" in data:  # a stream is one epoch, which ends with its budget
        config.trainer.max_epochs = -1
        if config.trainer.val_check_interval is None:
            config.trainer.val_check_interval = STREAM_VALIDATION
    if config.name is None:
        paths = config.get("config") or []
        config.name = Path(str(paths[-1])).stem if paths else "run"


def check_settings(config: Namespace) -> None:
    """Raise a UserError for mistakes that the Trainer would notice late or never."""
    check_secrets(config.as_dict())
    for name, least in LEAST.items():
        if (value := config.get(name)) is not None and value < least:
            raise UserError(f"--{name} must be at least {least}, not {value}.")
    for name, why in NOT_ZERO.items():
        if config.get(name) == 0:
            raise UserError(f"--{name} 0 {why}.")
    if "data.init_args.shuffle_rows" in config:
        _check_stream(config)
    devices, cores = config.get("trainer.devices"), os.cpu_count() or 1
    if config.get("trainer.accelerator") == "cpu" and str(devices).isdecimal() and int(devices) > 2 * cores:
        raise UserError(f"--trainer.devices is {devices}, and this machine has {cores} cores: give fewer.")
    strategy = config.get("trainer.strategy", "auto")
    strategy = str(strategy if isinstance(strategy, str) else getattr(strategy, "class_path", "")).rpartition(".")[2]
    for names, why in STRATEGIES.items():
        if re.search(names, strategy.lower()):
            raise UserError(f"--trainer.strategy {strategy} {why}: give --trainer.strategy ddp.")
    if SLURMEnvironment.detect() and (tasks := os.environ["SLURM_NTASKS"]) != "1":
        raise UserError(
            f"SLURM_NTASKS is {tasks}, and srun cannot start this program: unset SLURM_NTASKS, and for several "
            "processes start torchrun on each machine (docs/train.md has the command)."
        )
    if config.get("trainer.num_nodes", 1) > 1 and not TorchElasticEnvironment.detect():
        raise UserError(
            f"--trainer.num_nodes is {config.trainer.num_nodes}, and only one process was started: start torchrun on "
            "each machine, with --nnodes and --nproc_per_node (docs/train.md has the command)."
        )
    class_name = config.model.class_path.rsplit(".", 1)[-1]
    probes = config.get("probes") or []
    if probes and class_name in (task.module for task in TASKS.values() if not task.fills_masks):
        raise UserError(f"--probes are for a masked language model, and this is a {class_name}: leave them out.")
    for probe in probes:
        if MASK not in probe:
            raise UserError(f"The probe {probe!r} has no {MASK}: write {MASK} in --probes for a word to be guessed.")
    # The data determine a SequenceClassifier's task: `callbacks.outlook` then checks again.
    known = {name: mode for task in TASKS.values() if task.module == class_name for name, mode in task.monitors.items()}
    if known:  # not for a module of the user's own
        _check_monitors(config, class_name, known)


def _check_monitors(config: Namespace, class_name: str, known: dict[str, str]) -> None:
    choices = [(section, config[section]) for section in ("early_stopping", "checkpoint")]
    beside = named_classes(config, "callbacks")
    if all(row_of(entry, CALLBACKS) != "Callback" for entry in beside):  # the user's own may log anything
        choices += [("trainer.callbacks", entry.init_args) for entry in beside if "init_args" in entry]
    for section, choice in choices:
        monitor, mode = choice.get("monitor"), choice.get("mode")
        if monitor is None:  # no checkpoint is chosen, or no early stopping
            continue
        modes = known if section != "trainer.callbacks" else {**known, "train/loss": "min"}
        if monitor not in modes:
            raise UserError(f"{class_name} logs no {monitor!r}: give --{section}.monitor one of {', '.join(modes)}.")
        if mode != modes[monitor]:
            raise UserError(
                f"--{section}.mode is {mode!r}, which would choose the worst {monitor}: give --{section}.mode "
                f"{modes[monitor]}."
            )


def _check_stream(config: Namespace) -> None:
    if config.get("trainer.overfit_batches"):
        raise UserError("--trainer.overfit_batches is not for a stream: give --data MaskedLanguageModelingDataModule.")
    ends = config.get("trainer.max_steps", -1) > 0 or config.data.init_args.get("max_tokens") is not None
    if not ends and not config.get("trainer.fast_dev_run"):
        raise UserError("A stream has no end: give --trainer.max_steps or --data.max_tokens.")


def check_seed(seed: Any, *, resume: str | None = None) -> int:
    """Return the value of `--seed_everything`, or raise a UserError; true draws a seed and prints it."""
    if seed is True and resume is not None:
        raise UserError("--seed_everything true draws a new seed each time, so --resume finds no run: give a number.")
    if seed is True:
        seed = int(processes.once("seed", lambda: str(secrets.randbelow(MOST_SEED + 1))))
        rank_zero_info(f"Drawn seed: --seed_everything {seed}.")
    if seed is False or not 0 <= seed <= MOST_SEED:
        shown = "false" if seed is False else seed
        raise UserError(f"--seed_everything must be a whole number from 0 to {MOST_SEED}, or true, not {shown}.")
    return int(seed)


def check_names(config: Namespace) -> None:
    """Raise a UserError unless `--name` and the folders' names are valid."""
    name = config.name
    printable = name.isprintable() and name == name.strip() != ""  # which excludes lone surrogates
    if not printable or "/" in name or name.startswith(".") or len(name.encode()) > MOST_NAME_BYTES:
        raise UserError(
            f"--name is {name[:MOST_NAME_BYTES]!r}, which cannot name a folder in {config.runs_dir}: give a name of up "
            f"to {MOST_NAME_BYTES} bytes without / that does not begin with a dot; --runs_dir sets the parent folder."
        )
    for option, folder in (("runs_dir", config.runs_dir), ("data.cache_dir", config.get("data.init_args.cache_dir"))):
        if folder is not None and (not folder.strip() or "\0" in folder):
            raise UserError(f"--{option} is {folder!r}, which names no folder: give one, or leave it out.")


def check_nulls(section: str, config: Namespace) -> None:
    """Raise a UserError if a setting is null that must not be: the parser allows null everywhere."""
    module, _, name = config.class_path.rpartition(".")
    bases = getattr(importlib.import_module(module), name).__mro__
    hints = {key: hint for base in reversed(bases) for key, hint in get_type_hints(base.__init__).items()}
    for key, value in config.init_args.items():
        if value is None and key in hints and type(None) not in (hints[key], *get_args(hints[key])):
            raise UserError(f"--{section}.{key} must not be null: give a value, or leave it out.")
