"""Predicts for a file of texts with an exported folder, in the order of the texts."""

import contextlib
import json
import os
import sys
from collections.abc import Iterator
from itertools import chain, islice
from pathlib import Path
from typing import IO, Any, Literal

import yaml

from lightning_nlp.atomic_files import whole_file
from lightning_nlp.errors import UserError, one_line
from lightning_nlp.predict.inputs import check_columns, input_texts, make_utf8
from lightning_nlp.predict.predictor import make_predictor
from lightning_nlp.predict.table import PredictionTable
from lightning_nlp.run import runs
from lightning_nlp.run.library_errors import resource_errors
from lightning_nlp.tasks import task_of_module
from lightning_nlp.training.precision import default_precision

# Texts read, sorted by length and predicted at a time: enough for batches without padding, in a fixed memory.
WINDOW = 2048


def predict(
    run: str,
    input: str,
    output: str | None = None,
    overwrite: bool = False,
    text_column: list[str] | str | None = None,
    encoding: str | None = None,
    delimiter: str | None = None,
    quoting: bool | None = None,
    tokens_per_batch: int = 4096,
    precision: str | None = None,
    top_k: int = 5,
    explain: bool = False,
    thresholds: Literal["best_f1", "wanted"] | None = None,
) -> None:
    """Predict for a file of texts with a trained run.

    Texts are cleaned and cut as in the training. Each line of JSONL has `index` (of the text, from 0) and `label` with
    `probabilities`, or for a masked language model `fillings`: the best tokens for each [MASK], with their
    probabilities; for a token classifier `words`, `tags` and `entities`, with their places in the text. A text without
    words has `label` null, or no words.

    Args:
        run: A run's directory, e.g. runs/cls/0, whose export is used.
        input: Lines, CSV, TSV, JSONL or parquet; - for lines from stdin. For tags also CoNLL columns or lists of words.
        output: The JSONL file, written whole or not at all; - for stdout; null prints a table on a terminal, and JSONL
            elsewhere.
        overwrite: Replace the output if it exists.
        text_column: As --data has it; null: as the run.
        encoding: As --data has it; null: as the run.
        delimiter: As --data has it; null: as the run.
        quoting: As --data has it; null: as the run.
        tokens_per_batch: Tokens at a time; more needs more memory, and helps a GPU.
        precision: bf16-mixed or 32-true; null means the training's where this machine supports it.
        top_k: Fillings for each [MASK].
        explain: Add `words` to a classifier's predictions: how much each supported the label, from -1 to 1.
        thresholds: Add `reached`: the labels whose probability reaches their threshold, chosen on validation for
            `best_f1`, or for precision 0.95 with `wanted`.

    Raises:
        UserError: If the run has no export, the input cannot be read, or the output exists.
    """
    folder, config = exported(runs.existing_run(run)), read_config(Path(run))
    for name, value in (("tokens_per_batch", tokens_per_batch), ("top_k", top_k)):
        if value < 1:
            raise UserError(f"--{name} must be at least 1, not {value}.")
    if output is not None and (not output or "\0" in output):
        raise UserError(f"--output is {output!r}, which names no file: give a file, or - for stdout.")
    if output not in (None, "-") and os.path.exists(output):  # pathlib raises for names that no file can have
        if not os.path.isfile(output):  # a folder, or a device, e.g. /dev/null, which must not be replaced
            raise UserError(f"--output {output} exists and is not a file: give a file, or - for stdout.")
        if not overwrite:
            raise UserError(f"--output {output} exists already: give another file, or --overwrite true to replace it.")
        if os.path.exists(input) and os.path.samefile(input, output):
            raise UserError(f"--output {output} is the --input: give another file, or its texts would be lost.")
    settings = config["data"]["init_args"]
    asked = {"text_column": text_column, "encoding": encoding, "delimiter": delimiter, "quoting": quoting}
    trained = {} if input == "-" else settings  # a pipe is UTF-8, as the terminal is
    dialect: dict[str, Any] = {name: trained.get(name) if value is None else value for name, value in asked.items()}
    check_columns(input, dialect["text_column"], settings)
    task = task_of_module(str((config.get("model") or {}).get("class_path")))
    tagged = task is not None and task.tags_words
    texts = input_texts(input, tagged=tagged, **{name: value for name, value in dialect.items() if value is not None})
    first = list(islice(texts, WINDOW))  # early mistakes in the input show before the model loads
    predictor = make_predictor(
        folder,
        settings,
        precision=prediction_precision(precision, config.get("trainer", {}).get("precision")),
        tokens_per_batch=tokens_per_batch,
        top_k=top_k,
        explain=explain,
        thresholds=thresholds,
    )
    windows = chain([first] if first else [], iter(lambda: list(islice(texts, WINDOW)), []))
    with resource_errors(lambda _: f"--tokens_per_batch {max(1, tokens_per_batch // 2)}"):
        if output is None and sys.stdout.isatty():
            make_utf8(sys.stdout, "utf-8")
            table = PredictionTable()
            for window in windows:
                table.add(window, predictor(window))
            table.close()
            return
        with _open_output(output or "-") as file:
            for window in windows:
                for record in predictor(window):
                    file.write(json.dumps(record, ensure_ascii=False) + "\n")


def exported(run: Path) -> Path:
    """A run's export folder; raises a UserError if there is none."""
    if (run / "export").is_dir():
        return run / "export"
    facts = json.loads(path.read_text(encoding="utf-8")) if (path := run / "facts.json").is_file() else {}
    if facts.get("state") == "failed" and "test" in facts:  # after the test comes the export
        raise UserError(
            f"The run {run} has no export: it was trained and tested, but the export failed for the reason "
            "that `fit` reported; fix that, and the same command with --ckpt_path last exports it."
        )
    raise UserError(
        f"The run {run} has no export ({run / 'export'}): its training did not end; continue with the same command "
        "and --ckpt_path last, or in Python with `resume()`."
    )


def read_config(run: Path) -> dict[str, Any]:
    """The configuration with which a run was trained."""
    try:
        config = yaml.safe_load((run / "config.yaml").read_text(encoding="utf-8"))
        assert isinstance(config["data"]["init_args"], dict), "no settings"
        return config
    except (OSError, yaml.YAMLError, UnicodeDecodeError, AssertionError, KeyError, TypeError) as error:
        raise UserError(
            f"{run / 'config.yaml'} is not a run's configuration ({one_line(error)[:300]}): give another --run."
        ) from error


def prediction_precision(asked: str | None, trained: str | None) -> str:
    """The precision asked for, or else the training's if this machine supports it."""
    return asked or ("bf16-mixed" if trained == "bf16-mixed" == default_precision() else "32-true")


@contextlib.contextmanager
def _open_output(output: str) -> Iterator[IO[str]]:
    """Stdout, or a file that appears once all of it is written."""
    if output == "-":
        make_utf8(sys.stdout, "utf-8")
        try:
            yield sys.stdout
            sys.stdout.flush()
        except BrokenPipeError:  # the reader, e.g. `head`, is gone; Python's own flush at exit must not fail
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return
    try:
        with whole_file(Path(output), "w") as file:
            yield file
    except OSError as error:
        raise UserError(f"--output {output} cannot be written: {error.strerror}; give another file.") from error
