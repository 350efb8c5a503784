"""A parsed configuration before anything is made of it: what a null stands for, and what cannot work."""

from __future__ import annotations

import os
from pathlib import Path

from jsonargparse import Namespace

from lightning_nlp.errors import UserError
from lightning_nlp.evaluation.probes import MASK
from lightning_nlp.hardware import default_precision
from lightning_nlp.privacy import check_secrets, home_as_tilde

# What the modules measure on the validation part, and whether more or less of it is better.
VALIDATION_METRICS = {
    "SequenceClassifier": {"val/loss": "min"}
    | dict.fromkeys(("val/accuracy", "val/f1", "val/precision", "val/recall"), "max"),
    "MaskedLanguageModel": dict.fromkeys(("val/loss", "val/perplexity", "val/bits_per_char"), "min")
    | dict.fromkeys(("val/top1", "val/top5"), "max"),
}


def fill_in(config: Namespace) -> None:
    """Fill in what a null stands for, so that config.yaml says what was really used.

    Args:
        config: A subcommand's configuration; changed in place.
    """
    data, model = config.data.init_args, config.model.init_args
    if data.get("tokenizer") is None and "tokenizer" in data:
        data.tokenizer = model.get("pretrained")
    if data.get("seed") is None and "seed" in data:
        data.seed = config.seed_everything
    # so that neither config.yaml nor hyperparameters nor W&B name the home folder; all that reads these expands them
    for section, name in ((data, "path"), (data, "tokenizer"), (data, "cache_dir"), (model, "pretrained")):
        if isinstance(section.get(name), str):
            section[name] = home_as_tilde(section[name])
    config.runs_dir = os.path.expanduser(config.runs_dir)
    if config.trainer.precision is None:
        config.trainer.precision = default_precision(config.trainer.accelerator)
    if config.trainer.limit_val_batches == 0:  # nothing to choose by: the last epoch is the best
        config.checkpoint.monitor, config.checkpoint.save_on_train_epoch_end = None, True
    if config.name is None:
        paths = config.get("config") or []
        config.name = Path(str(paths[-1])).stem if paths else "run"


def check_settings(config: Namespace) -> None:
    """Check what the Trainer and its callbacks would find out late: at a division by zero, or after an epoch.

    Args:
        config: A subcommand's configuration.

    Raises:
        UserError: If a setting makes no sense.
    """
    check_secrets(config.as_dict())
    if config.trainer.accumulate_grad_batches < 1:
        raise UserError(
            f"--trainer.accumulate_grad_batches must be at least 1, not {config.trainer.accumulate_grad_batches}."
        )
    if config.trainer.limit_train_batches == 0:
        raise UserError("--trainer.limit_train_batches 0 leaves nothing to train on: give a number of batches or null.")
    for name in ("max_epochs", "max_steps"):
        if config.trainer.get(name) == 0:
            raise UserError(f"--trainer.{name} 0 trains nothing, and an untrained model is no result: give 1 or more.")
    class_name = config.model.class_path.rsplit(".", 1)[-1]
    probes = config.get("probes") or []
    if probes and class_name == "SequenceClassifier":
        raise UserError("--probes are for a masked language model, and this is a SequenceClassifier: leave them out.")
    for probe in probes:
        if MASK not in probe:
            raise UserError(f"The probe {probe!r} has no {MASK}: write {MASK} in --probes for a word to be guessed.")
    known = VALIDATION_METRICS.get(class_name)
    if known is None:  # a module of the user's own
        return
    for section in ("early_stopping", "checkpoint"):
        monitor, mode = config[section].monitor, config[section].mode
        if monitor is None:  # no choice: the last checkpoint counts as the best
            continue
        if monitor not in known:
            raise UserError(f"{class_name} logs no {monitor!r}: give --{section}.monitor one of {', '.join(known)}.")
        if mode != known[monitor]:
            raise UserError(
                f"--{section}.mode is {mode!r}, which would choose the worst {monitor}: give --{section}.mode "
                f"{known[monitor]}."
            )
