"""The command line before and after it is parsed: short names for files, and errors that say what to do."""

import argparse
import difflib
import os
import re
from collections.abc import Callable
from pathlib import Path

import yaml
from jsonargparse import ArgumentParser, set_parsing_settings

import lightning_nlp
from lightning_nlp.cli.config_file import SHIPPED, check_yaml
from lightning_nlp.cli.options import refused_class
from lightning_nlp.errors import PROGRAM, UserError, one_line
from lightning_nlp.privacy import leaves
from lightning_nlp.run import runs

# A configuration may name the user's own classes, but nothing from `os`, `subprocess` and the like, which the parser
# would import, and call where a setting may be a function. Any entry here turns on its own list of these.
set_parsing_settings(import_path_allowlist=["lightning_nlp"])


CLASSES = [name for name in lightning_nlp.PUBLIC if name.endswith(("Model", "Module", "Classifier"))]
CLASS_OPTIONS = ("--model", "--data", "--model.class_path", "--data.class_path")


def find_configs(arguments: list[str]) -> list[str]:
    """Let `--config cls.yaml` find `configs/cls.yaml`, here or as shipped, and `--data NAME` our class of this name.

    Raises:
        UserError: If there is no such file.
    """
    found: list[str] = []
    if {"--help", "-h"} & set(arguments):
        import_classes(" ".join(CLASSES))
    for argument in arguments:
        option, separator, value = argument.partition("=")
        if not separator or not option.startswith("-"):
            option, separator, value = (found or [""])[-1], "", argument
        if option in ("--config", "-c"):
            value = _find_config(value)
        elif option in CLASS_OPTIONS and value in CLASSES:
            value = f"lightning_nlp.{value}"
        found.append(f"{option}={value}" if separator else value)
    return found


def _find_config(name: str) -> str:
    places = [Path(name), Path("configs") / name, SHIPPED / name, SHIPPED.parent / name]
    path = next((place for place in places if os.path.isfile(place)), None)  # pathlib raises for odd names
    if path is None:
        raise UserError(
            f"--config {name}: there is no such file, neither here nor in configs/. "
            f"Shipped are {', '.join(sorted(place.name for place in SHIPPED.glob('*.yaml')))}."
        )
    check_yaml(path)
    import_classes(path.read_text(encoding="utf-8"))
    return str(path)


def import_classes(text: str) -> None:
    """Import those of our classes that a text names: only then the parser knows their names without the module."""
    for name in CLASSES:
        if name in text:
            getattr(lightning_nlp, name)


def split_run_arguments(arguments: list[str]) -> list[str]:
    """Replace `--run RUN` by the run's configuration and best checkpoint, which the other arguments override.

    Raises:
        UserError: If it is not a run, or has no checkpoint yet.
    """
    if not arguments or arguments[0] not in ("validate", "test"):
        return arguments
    parser = argparse.ArgumentParser(add_help=False, allow_abbrev=False, exit_on_error=False)
    parser.add_argument("--run")
    parser.add_argument("--ckpt_path")
    given, rest = parser.parse_known_args(arguments[1:])
    if given.run is None:
        return arguments
    run = runs.existing_run(given.run)
    check_run_config(run / "config.yaml")
    checkpoint = given.ckpt_path
    if checkpoint in (None, "best", "last"):  # of this run, not of the newest
        checkpoint = str(run / "checkpoints" / f"{checkpoint or 'best'}.ckpt")
        if given.ckpt_path is None and not os.path.isfile(checkpoint):
            raise UserError(
                f"The run {run} has no best checkpoint ({checkpoint}): let it reach a validation, or give --ckpt_path."
            )
    return [arguments[0], "--config", str(run / "config.yaml"), "--ckpt_path", checkpoint, *rest]


# The classes that the configuration of a run, which may be someone else's, may name. LambdaCallback calls any function.
OF_OURS = re.compile(r"(lightning_nlp|lightning\.pytorch)\.(?!.*LambdaCallback)[\w.]+|(?!LambdaCallback)[A-Za-z_]\w*")
CLASS_SETTINGS = ("callbacks", "logger", "plugins", "profiler", "strategy", "accelerator")


def check_run_config(path: Path) -> None:
    """Raise a UserError if a run names code that is neither ours nor Lightning's: the parser would import it."""
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


def explain_parse_error(error: Exception, command: str, shown_help: Callable[[], str]) -> str:
    """One sentence for what the parser rejects, with the nearest name for an unknown key.

    Args:
        shown_help: Returns what `--help` prints, which names all keys.
    """
    text, reason = one_line(error), error
    if refused := refused_class(text):
        return refused
    while isinstance(reason.__cause__, Exception):  # the outer ones list each type that was tried
        reason = reason.__cause__
    message = one_line(reason).rstrip(".")
    keys = re.findall(r'Parser key "([\w.]+)"', text)
    option = f"--{'.'.join(keys)}"
    lists_all = f"`{PROGRAM} {command} --help` lists all."
    if missing := re.search(r"arguments are required: (.*)", message):
        names = [".".join([*keys, name.removeprefix(f"{command}.")]) for name in missing[1].split(", ")]
        cure = "--config FILE, e.g. cls.yaml" + ("" if command in ("fit", "inspect") else ", or --run RUN")
        cure = cure if {"model", "data"} & set(names) else ", ".join(f"--{name}" for name in names)
        return f"`{command}` needs to know its {' and '.join(names)}: give {cure}."
    if unknown := re.search(
        r"unrecognized arguments: --?([\w.]+)|(?:Group '([\w.]+)'.*)?[Oo]ption '([\w.]+)'", message
    ):
        key = ".".join([*keys, *filter(None, unknown.groups())])
        if key == "data.streaming":
            return (
                "--data.streaming is gone: for a stream give --data lightning_nlp.StreamingDataModule; in a yaml file "
                "delete `streaming`, and for cached texts `shuffle_rows` and `tokenizer_samples` too."
            )
        last = key.rpartition(".")[2]
        near = difflib.get_close_matches(last, set(re.findall(r"--(?:\w+\.)*(\w+)", shown_help())), n=1)
        hint = "" if not near else " Only another class has it." if near[0] == last else f" Did you mean {near[0]!r}?"
        return f"Unknown configuration key {key!r}.{hint} {lists_all}"
    if keys and (value := re.search(r"Got value: (.*)", message)):
        types = re.findall(r"Expected an? (?:<class '([\w.]+)'>|typing\.Literal(\[.*?\]))", text)
        names = [plain or re.sub(r"[\[\]']", "", literal) for plain, literal in types if plain != "NoneType"]
        names = ["a list, e.g. '[A, B]'" if name == "list" else name for name in dict.fromkeys(names)]
        return f"{option} cannot be {value[1]!r}. Expected: {', '.join(names)}."
    if "subcommand" in message:  # it names them all
        return f"{message}."
    return f"{option if keys else command}: {message}. {lists_all}"


def class_help() -> str:
    """The arguments of the shipped models and data modules, which LightningCLI's own help leaves out."""
    sections = []
    models = ["SequenceClassifier", "TokenClassifier", "MaskedLanguageModel"]
    data = ["IMDBDataModule", "TokenClassificationDataModule", "EsperantoDataModule", "StreamingDataModule"]
    for name in (*models, *data):
        key = "model" if name in models else "data"
        parser = ArgumentParser(add_help=False, usage=argparse.SUPPRESS)
        parser.add_class_arguments(getattr(lightning_nlp, name), key)
        sections.append(f"with {key}.class_path lightning_nlp.{name}:\n{parser.format_help()}")
    return "\n".join(sections)
