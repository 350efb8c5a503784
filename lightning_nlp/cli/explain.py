"""Explains why the parser rejects arguments, and prints the end of `--help`."""

import argparse
import contextlib
import difflib
import io
import re

from jsonargparse import ArgumentParser

import lightning_nlp
from lightning_nlp.cli.options import CALLBACKS, LOGGERS, TRAINER
from lightning_nlp.errors import PROGRAM, one_line


def explain_parse_error(error: Exception, command: str) -> str:
    """One sentence about what the parser rejects, with the closest name for an unknown key."""
    text, reason = one_line(error), error
    if refused := _refused_class(text):
        return refused
    while isinstance(reason.__cause__, Exception):  # the outer errors list each type that was tried
        reason = reason.__cause__
    message = one_line(reason).rstrip(".")
    keys = re.findall(r'Parser key "([\w.]+)"', text)
    option = f"--{'.'.join(keys)}"
    lists_all = f"`{PROGRAM} {command} --help` lists all."
    if missing := re.search(r"arguments are required: (.*)", message):
        names = [".".join([*keys, name.removeprefix(f"{command}.")]) for name in missing[1].split(", ")]
        cure = "--config FILE, e.g. cls.yaml" + ("" if command in ("fit", "inspect") else ", or --run RUN")
        cure = cure if {"model", "data"} & set(names) else ", ".join(f"--{name}" for name in names)
        return f"`{command}` needs its {' and '.join(names)}: give {cure}."
    if unknown := re.search(
        r"unrecognized arguments: --?([\w.]+)|(?:Group '([\w.]+)'.*)?[Oo]ption '([\w.]+)'", message
    ):
        key = ".".join([*keys, *filter(None, unknown.groups())])
        last = key.rpartition(".")[2]
        near = difflib.get_close_matches(last, set(re.findall(r"--(?:\w+\.)*(\w+)", _shown_help(command))), 1, 0.75)
        hint = "" if not near else " Only another class has it." if near[0] == last else f" Did you mean {near[0]!r}?"
        return f"Unknown configuration key {key!r}.{hint} {lists_all}"
    if keys and (value := re.search(r"Got value: (.*)", message)):
        types = re.findall(r"Expected an? (?:<class '([\w.]+)'>|typing\.Literal(\[.*?\]))", text)
        names = [plain or re.sub(r"[\[\]']", "", literal) for plain, literal in types if plain != "NoneType"]
        names = ["a list, e.g. '[A, B]'" if name == "list" else name for name in dict.fromkeys(names)]
        quote = """; in a list quote each name: '["a", "b"]'""" if option.endswith("_column") else ""
        return f"{option} cannot be {value[1]!r}. Expected: {', '.join(names)}{quote}."
    return f"{option if keys else command}: {message}. {lists_all}"


def _refused_class(message: str) -> str | None:
    """The sentence for a refused class whose arguments the parser rejected before we could."""
    name = re.search(r"(?:class_path '|import path string: )(?:\w+\.)*(\w+)", message)
    for option, rows in (("callbacks", CALLBACKS), ("logger", LOGGERS)):
        if name is not None and f'key "trainer.{option}"' in message and rows.get(name[1]):
            return f"--trainer.{option} {name[1]} is refused: {rows[name[1]]}."
    return None


def _shown_help(command: str) -> str:
    from lightning_nlp.cli.main import run

    with contextlib.redirect_stdout(io.StringIO()) as shown, contextlib.suppress(SystemExit):
        run([command, "--help"])
    return shown.getvalue()


def print_more_help() -> None:
    """Print what LightningCLI's own help omits: the arguments of our classes, and the refused options."""
    models = ["SequenceClassifier", "TokenClassifier", "MaskedLanguageModel"]
    data = ["IMDBDataModule", "TokenClassificationDataModule", "EsperantoDataModule", "StreamingDataModule"]
    for name in (*models, *data):
        key = "model" if name in models else "data"
        parser = ArgumentParser(add_help=False, usage=argparse.SUPPRESS)
        parser.add_class_arguments(getattr(lightning_nlp, name), key)
        print(f"with {key}.class_path lightning_nlp.{name}:\n{parser.format_help()}")
    print("Of Lightning's own options these are refused:")
    for option, rows in {"": TRAINER, "callbacks ": CALLBACKS, "logger ": LOGGERS}.items():
        for name, why in rows.items():
            if why:
                print(f"  --trainer.{option}{name}: {why}.")
    works = (", ".join(name for name, why in rows.items() if not why) for rows in (CALLBACKS, LOGGERS))
    print("Of its callbacks {} work, of its loggers {}.".format(*works))
