"""The command line before it is parsed: short names for files and classes, and `--run`."""

import argparse
import os
import re
from pathlib import Path

import yaml
from jsonargparse import set_parsing_settings

import lightning_nlp
from lightning_nlp.cli.config_file import SHIPPED, check_yaml
from lightning_nlp.errors import UserError, one_line
from lightning_nlp.privacy import leaves
from lightning_nlp.run import runs

# A configuration may name the user's own classes, but nothing from `os`, `subprocess` etc., which the parser would
# import, and would call where a setting may be a function. Any entry here switches on the parser's list of these.
set_parsing_settings(import_path_allowlist=["lightning_nlp"])


CLASSES = [name for name in lightning_nlp.PUBLIC if name.endswith(("Model", "Module", "Classifier"))]
CLASS_OPTIONS = ("--model", "--data", "--model.class_path", "--data.class_path")


def find_configs(arguments: list[str]) -> list[str]:
    """Complete the names of configurations (cls.yaml: configs/cls.yaml, local or shipped) and of our classes.

    Raises:
        UserError: If a file does not exist.
    """
    completed: list[str] = []
    if {"--help", "-h"} & set(arguments):
        import_classes(" ".join(CLASSES))
    for argument in arguments:
        option, separator, value = argument.partition("=")
        if not separator or not option.startswith("-"):
            option, separator, value = (completed or [""])[-1], "", argument
        if option in ("--config", "-c"):
            value = _find_config(value)
        elif option in CLASS_OPTIONS and value in CLASSES:
            value = f"lightning_nlp.{value}"
        completed.append(f"{option}={value}" if separator else value)
    return completed


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
    """Import those of our classes that a text names: the parser knows only imported classes by short names."""
    for name in CLASSES:
        if name in text:
            getattr(lightning_nlp, name)


def split_run_arguments(arguments: list[str]) -> list[str]:
    """Replace `--run RUN` by the run's configuration and best checkpoint, which other arguments override.

    Raises:
        UserError: If RUN is not a run or has no checkpoint yet.
    """
    if not arguments or arguments[0] not in ("validate", "test"):
        return arguments
    parser = argparse.ArgumentParser(add_help=False, allow_abbrev=False, exit_on_error=False)
    parser.add_argument("--run")
    parser.add_argument("--ckpt_path")
    parsed, rest = parser.parse_known_args(arguments[1:])
    if parsed.run is None:
        return arguments
    run = runs.existing_run(parsed.run)
    check_run_config(run / "config.yaml")
    checkpoint = parsed.ckpt_path
    if checkpoint in (None, "best", "last"):  # of this run, not of the newest
        checkpoint = str(run / "checkpoints" / f"{checkpoint or 'best'}.ckpt")
        if parsed.ckpt_path is None and not os.path.isfile(checkpoint):
            raise UserError(
                f"The run {run} has no best checkpoint ({checkpoint}): let it reach a validation, or give --ckpt_path."
            )
    return [arguments[0], "--config", str(run / "config.yaml"), "--ckpt_path", checkpoint, *rest]


# What a run's configuration, perhaps someone else's, may name. LambdaCallback would call any function.
OF_OURS = re.compile(r"(lightning_nlp|lightning\.pytorch)\.(?!.*LambdaCallback)[\w.]+|(?!LambdaCallback)[A-Za-z_]\w*")
CLASS_SETTINGS = ("callbacks", "logger", "plugins", "profiler", "strategy", "accelerator")


def check_run_config(path: Path) -> None:
    """Raise a UserError if a run's configuration names foreign code, which the parser would import."""
    try:
        config = yaml.safe_load(path.read_text(encoding="utf-8")) or {}
        assert isinstance(config, dict), "no settings"
        trainer = config.get("trainer") or {}
        named = [value for key, value in leaves(config) if key.rsplit(".", 1)[-1] == "class_path"]
        named += [value for name in CLASS_SETTINGS for key, value in leaves(trainer.get(name), name) if key == name]
        named += [config[name] for name in ("model", "data") if not isinstance(config.get(name, {}), dict)]
    except (yaml.YAMLError, UnicodeDecodeError, AssertionError, AttributeError, RecursionError) as error:
        raise UserError(f"{path} is not a run's configuration ({one_line(error)}): give another --run.") from error
    for name in named:
        if isinstance(name, str) and not OF_OURS.fullmatch(name):
            raise UserError(
                f"{path} names {name!r}, code from outside this program: if you trust it, give --config {path} and "
                "--ckpt_path instead of --run."
            )
