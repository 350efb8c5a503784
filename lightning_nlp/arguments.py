"""The command line before and after it is parsed: short names for files, and errors that say what to do."""

from __future__ import annotations

import argparse
import difflib
import inspect
import os
import re
from pathlib import Path

import yaml
from jsonargparse import set_parsing_settings

from lightning_nlp import runs
from lightning_nlp.config_file import check_yaml
from lightning_nlp.errors import UserError, one_line
from lightning_nlp.privacy import leaves

# A configuration may name the user's own classes, but nothing out of `os`, `subprocess` and their like, which the
# parser would import, and call where a setting may be a function. Naming anything here makes it enforce its own list.
set_parsing_settings(import_path_allowlist=["lightning_nlp"])


def find_configs(arguments: list[str]) -> list[str]:
    """Let `--config cls.yaml` find `configs/cls.yaml`: in the working directory, or beside train.py.

    Args:
        arguments: The command line.

    Returns:
        The same with the paths of the files found.

    Raises:
        UserError: If a file is nowhere or not YAML.
    """
    found = list(arguments)
    for i, argument in enumerate(found):
        option, separator, value = argument.partition("=")
        if option not in ("--config", "-c"):
            continue
        if not separator:
            if i + 1 == len(found):
                continue  # the parser says what is missing
            value = found[i + 1]
        places = [Path(value), Path("configs") / value, Path(__file__).parent.parent / "configs" / value]
        path = next((place for place in places if os.path.isfile(place)), None)  # pathlib raises for odd names
        if path is None:
            shipped = sorted(place.name for place in (Path(__file__).parent.parent / "configs").glob("*.yaml"))
            raise UserError(
                f"--config {value}: there is no such file, neither here nor in configs/. "
                f"Shipped are {', '.join(shipped)}."
            )
        check_yaml(path)
        if separator:
            found[i] = f"{option}={path}"
        else:
            found[i + 1] = str(path)
    return found


def split_run_arguments(arguments: list[str]) -> list[str]:
    """Put a run's own configuration and best checkpoint in the place of `--run RUN`.

    Args:
        arguments: The command line.

    Returns:
        The same without `--run`; the rest of the command line still overrides the run's configuration.

    Raises:
        UserError: If it is no run, or has no checkpoint yet.
    """
    if not arguments or arguments[0] not in ("validate", "test"):
        return arguments
    rest = arguments[1:]
    for i, argument in enumerate(rest):
        option, separator, value = argument.partition("=")
        if option != "--run":
            continue
        if not separator and i + 1 == len(rest):
            raise UserError("--run needs a directory, such as runs/cls/0.")
        value = value if separator else rest[i + 1]
        rest = rest[:i] + rest[i + (1 if separator else 2) :]
        run = runs.existing_run(value)
        check_run_config(run / "config.yaml")
        inserted = ["--config", str(run / "config.yaml")]
        for which in ("last", "best"):  # of this run, not of the newest
            path = str(run / "checkpoints" / f"{which}.ckpt")
            rest = [f"--ckpt_path={path}" if argument == f"--ckpt_path={which}" else argument for argument in rest]
            for j in range(1, len(rest)):
                if rest[j - 1] == "--ckpt_path" and rest[j] == which:
                    rest[j] = path
        if not any(argument.split("=")[0] == "--ckpt_path" for argument in rest):
            best = run / "checkpoints" / runs.BEST
            if not best.is_file():
                raise UserError(
                    f"The run {run} has no best checkpoint ({best}): let it reach a validation, or give --ckpt_path."
                )
            inserted += ["--ckpt_path", str(best)]
        return [arguments[0], *inserted, *rest]
    return arguments


# The classes that a run's configuration may name, whoever wrote it. LambdaCallback calls any function.
OF_OURS = re.compile(r"(lightning_nlp|lightning\.pytorch)\.(?!.*LambdaCallback)[\w.]+|(?!LambdaCallback)[A-Za-z_]\w*")
CLASS_SETTINGS = ("callbacks", "logger", "plugins", "profiler", "strategy", "accelerator")


def check_run_config(path: Path) -> None:
    """Check that another's run can be tested without running another's code: the parser imports what a yaml names.

    Args:
        path: A run's config.yaml.

    Raises:
        UserError: If it is not YAML, or names a class that is neither ours nor Lightning's.
    """
    try:
        config = yaml.safe_load(path.read_text(encoding="utf-8")) or {}
        assert isinstance(config, dict), "no settings"
        trainer = config.get("trainer") or {}
        named = [value for key, value in leaves(config) if key.rsplit(".", 1)[-1] == "class_path"]
        named += [value for name in CLASS_SETTINGS for key, value in leaves(trainer.get(name), name) if key == name]
        named += [config[name] for name in ("model", "data") if not isinstance(config.get(name, {}), dict)]
    except (yaml.YAMLError, UnicodeDecodeError, AssertionError, AttributeError, RecursionError) as error:
        raise UserError(f"{path} is no run's configuration ({one_line(error)}): give another --run.") from error
    for name in named:
        if isinstance(name, str) and not OF_OURS.fullmatch(name):
            raise UserError(
                f"{path} names {name!r}, code that is not of this program: if you trust it, give --config {path} and "
                "--ckpt_path instead of --run."
            )


def explain_parse_error(error: Exception, command: str) -> str:
    """One sentence for what the parser rejects, with the nearest name for an unknown key.

    The parser's own message lists each type that it tried.

    Args:
        error: The parser's error.
        command: The subcommand.

    Returns:
        The message.
    """
    message = one_line(error)
    keys = re.findall(r"Parser key \"([\w.]+)\"", message)
    missing = re.search(r"arguments are required: ([\w.<>/-]+(?:, [\w.<>/-]+)*)", message)
    if missing:
        lacking = [".".join([*keys, name.removeprefix(f"{command}.")]) for name in missing[1].split(", ")]
        cure = "--config FILE, such as configs/cls.yaml" + ("" if command in ("fit", "inspect") else ", or --run RUN")
        cure = cure if {"model", "data"} & set(lacking) else ", ".join(f"--{name}" for name in lacking)
        return f"`{command}` needs to know its {' and '.join(lacking)}: give {cure}."
    unknown = re.search(r"(?:unrecognized arguments: --?|Option '|[Kk]ey ')([\w.]+)", message)
    if unknown and ("unrecognized" in message or "not accepted" in message or "not expected" in message):
        key = ".".join([*keys, unknown.group(1)])
        near = difflib.get_close_matches(key.rsplit(".", 1)[-1], sorted(known_keys(command)), n=1)
        hint = f" Did you mean {near[0]!r}?" if near else ""
        if near and near[0] == key.rsplit(".", 1)[-1]:
            hint = " Only another class has it."
        return f"Unknown configuration key {key!r}.{hint} `python train.py {command} --help` lists all."
    limit = re.search(r"Not of type \w+: (\S+) does not conform to restriction v(\S+)", message)
    if keys and limit:
        return f"--{'.'.join(keys)} is {limit[1]}, and must be {limit[2]}."
    value = re.search(r"val='([^']*)'\)", message) or re.search(r"Got value: (\S+)|Given value: (\S.*)$", message)
    if keys and value:
        found = next(group for group in value.groups() if group is not None)
        expected = re.findall(r"Expected an? (?:<class '([\w.]+)'>|typing\.Literal(\[.*?\]))", message)
        names = dict.fromkeys((literal or name) for name, literal in expected if name != "NoneType")
        wanted = f"Expected: {', '.join(names)}." if names else f"`python train.py {command} --help` says what can be."
        return f"--{'.'.join(keys)} cannot be {found!r}. {wanted}"
    return message


def known_keys(command: str) -> set[str]:
    """The last parts of all configuration keys of a subcommand."""
    if command == "predict":
        from lightning_nlp.inference import predict

        return set(inspect.signature(predict).parameters)
    from lightning import Trainer
    from lightning.pytorch.callbacks import EarlyStopping, ModelCheckpoint

    from lightning_nlp.data import datamodules
    from lightning_nlp.models.classification import SequenceClassifier
    from lightning_nlp.models.mlm import MaskedLanguageModel

    classes = (
        Trainer,
        EarlyStopping,
        ModelCheckpoint,
        SequenceClassifier,
        MaskedLanguageModel,
        datamodules.TextClassificationDataModule,
        datamodules.MaskedLanguageModelingDataModule,
    )
    names = {name for cls in classes for name in inspect.signature(cls.__init__).parameters}
    ours = {"runs_dir", "name", "debug", "seed_everything", "ckpt_path", "trainer", "model", "data"}
    return (names - {"self"}) | ours


def class_help() -> str:
    """The arguments of the shipped models and data modules, which LightningCLI's own help leaves out."""
    from jsonargparse import ArgumentParser

    from lightning_nlp.data import datamodules
    from lightning_nlp.models.classification import SequenceClassifier
    from lightning_nlp.models.mlm import MaskedLanguageModel

    sections = []
    for cls, key in (
        (SequenceClassifier, "model"),
        (MaskedLanguageModel, "model"),
        (datamodules.IMDBDataModule, "data"),
        (datamodules.EsperantoDataModule, "data"),
    ):
        parser = ArgumentParser(add_help=False, usage=argparse.SUPPRESS)
        parser.add_class_arguments(cls, key)
        sections.append(f"with {key}.class_path {cls.__module__}.{cls.__name__}:\n{parser.format_help()}")
    return "\n".join(sections)
