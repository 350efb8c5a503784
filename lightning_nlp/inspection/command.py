"""`inspect`: all that can be said of the data before the training, as one report, as JSON, and as an exit code."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

from jsonargparse import ArgumentParser
from lightning import LightningModule, Trainer
from lightning.pytorch.utilities.rank_zero import rank_zero_info

from lightning_nlp.data.files import SPLITS
from lightning_nlp.errors import UserError
from lightning_nlp.inspection.baseline import linear_baseline
from lightning_nlp.inspection.duplicates import near_duplicates
from lightning_nlp.inspection.language import languages
from lightning_nlp.inspection.reading import exact_duplicates, read_corpus
from lightning_nlp.inspection.report import print_report
from lightning_nlp.inspection.steps import measure_steps
from lightning_nlp.inspection.tokens import as_json, token_facts
from lightning_nlp.inspection.verdict import text_findings
from lightning_nlp.whole_files import write_whole


def add_inspect_arguments(parser: ArgumentParser) -> None:
    """The arguments that only `inspect` has.

    Args:
        parser: Where to add them.
    """
    parser.add_argument("--json", type=str | None, help="A file to write all facts to; an older one is replaced.")
    parser.add_argument("--steps", type=int, default=4, help="Training steps to measure; 0 leaves them out.")


def check_inspect_arguments(json: str | None, steps: int) -> None:
    """Find out before the work whether its result can be written.

    Args:
        json: The file to write, or None.
        steps: Steps to measure.

    Raises:
        UserError: If an argument makes no sense.
    """
    if steps < 0:
        raise UserError(f"--steps must be at least 0, not {steps}.")
    if json is not None and (not json or Path(json).is_dir() or not Path(json).absolute().parent.is_dir()):
        raise UserError(f"--json {json} cannot be written: give a file in a folder that exists.")


def inspect_data(
    trainer: Trainer | None, model: LightningModule, datamodule: Any, *, json: str | None, epochs: int | None
) -> bool:
    """Look at the data of a configuration, print what is found, and write it where asked to.

    Args:
        trainer: Of `measuring_trainer`, to measure some steps; None leaves that out.
        model: What the configuration would train.
        datamodule: A `TextDataModule`.
        json: A file to write all facts to, or None.
        epochs: Of the training, or None.

    Returns:
        Whether something severe was found; `verdict.py` says what is.

    Raises:
        UserError: If the data cannot be used at all, or the file cannot be written.
    """
    if not hasattr(datamodule, "token_rows"):
        raise UserError(
            f"`inspect` cannot read the texts of a {type(datamodule).__name__}: give --data a module of this package."
        )
    if getattr(datamodule, "streaming", False):
        raise UserError(
            "`inspect` reads all texts, and a stream has no end: give --data.streaming false, and some files."
        )
    clock = time.monotonic()
    report = gather(trainer, model, datamodule, epochs)
    report["seconds"] = round(time.monotonic() - clock, 1)
    if json is not None:
        try:
            write_whole(Path(json), as_json(report))
        except OSError as error:
            raise UserError(f"--json {json} cannot be written: {error.strerror}; give another file.") from error
    print_report(report)
    return any(finding["severity"] == "severe" for finding in report["findings"])


def gather(trainer: Trainer | None, model: LightningModule, datamodule: Any, epochs: int | None) -> dict[str, Any]:
    """All facts, by section.

    Args:
        trainer: As in `inspect_data`.
        model: The same.
        datamodule: The same.
        epochs: The same.

    Returns:
        `tokens` (`data.json` without its warnings), `raw`, `duplicates`, `near_duplicates`, `language`, `baseline`,
        `step`, `settings`, `findings`.
    """
    datamodule.prepare_data()
    datamodule.setup()
    tokens = token_facts(datamodule)
    # first, while nothing else is in memory
    step = None if trainer is None else measure_steps(trainer, model, datamodule, epochs=epochs)
    rank_zero_info("Reading the texts.")
    labelled = tokens["label_names"] is not None
    corpus = read_corpus(datamodule.source(), labelled=labelled)
    texts = [text for split in SPLITS for text in corpus.texts.get(split, ())]
    rank_zero_info("Looking for texts that are almost the same.")
    near = near_duplicates(texts)
    language = {split: found for split in corpus.splits if (found := languages(corpus.texts[split])) is not None}
    if labelled:
        rank_zero_info("Fitting the linear baseline.")
    report: dict[str, Any] = {
        "tokens": tokens,
        "settings": {"max_length": datamodule.max_length, **datamodule.cleaning},
        "raw": {split: raw.facts() for split, raw in corpus.splits.items()},
        "duplicates": exact_duplicates(corpus),
        "near_duplicates": near,
        "language": language,
        "baseline": linear_baseline(corpus.texts["train"]) if labelled else None,
        "step": step,
    }
    report["findings"] = tokens.pop("warnings") + text_findings(report)
    order = ("severe", "warning", "note")
    report["findings"].sort(key=lambda finding: order.index(finding["severity"]))
    return report
