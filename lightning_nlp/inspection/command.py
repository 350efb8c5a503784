"""`inspect`: what can be said about the data before training: a report, a JSON file, and an exit code."""

from pathlib import Path
from typing import Any

from lightning.pytorch.utilities.rank_zero import rank_zero_info

from lightning_nlp.atomic_files import write_whole
from lightning_nlp.errors import UserError
from lightning_nlp.inspection.baseline import linear_baseline
from lightning_nlp.inspection.data_facts import as_json, token_facts
from lightning_nlp.inspection.print_report import print_report
from lightning_nlp.inspection.reading import read_texts
from lightning_nlp.inspection.verdict import SEVERITIES, text_findings


def inspect_data(datamodule: Any, json: str | None) -> bool:
    """Look at the data of a `TextDataModule`, print the findings, and write them to the file `json`.

    The file's sections are `tokens` (`data.json` without its warnings), `max_length`, `counts` (of cleaning),
    `raw` and `conflicts` (of `read_texts`), `baseline` (null without labels) and `findings`.

    Returns:
        Whether something severe was found; `verdict.py` says what is.

    Raises:
        UserError: If the data cannot be used at all, or the file cannot be written.
    """
    if json is not None and (Path(json).is_dir() or not Path(json).absolute().parent.is_dir()):
        raise UserError(f"--json {json} cannot be written: give a file in a folder that exists.")
    if not hasattr(datamodule, "token_rows"):
        raise UserError(
            f"`inspect` cannot read the texts of a {type(datamodule).__name__}: give --data a module of this package."
        )
    if getattr(datamodule, "streaming", False):
        raise UserError(
            "`inspect` reads all texts, and a stream has no end: give --data MaskedLanguageModelingDataModule."
        )
    datamodule.prepare_data()
    datamodule.setup()
    rank_zero_info("Reading the texts.")
    tokens = token_facts(datamodule)
    raw, texts, conflicts = read_texts(datamodule.source())
    one_label = tokens["label_names"] is not None and "words" not in tokens["splits"]["train"]
    report: dict[str, Any] = {
        "tokens": tokens,
        "max_length": datamodule.max_length,
        "counts": datamodule.facts["counts"],
        "raw": raw,
        "conflicts": conflicts,
        "baseline": linear_baseline(texts) if one_label and "problem" not in tokens else None,
    }
    findings = [*tokens.pop("warnings"), *text_findings(report)]
    report["findings"] = sorted(findings, key=lambda finding: SEVERITIES.index(finding["severity"]))
    if json is not None:
        try:
            write_whole(Path(json), as_json(report))
        except OSError as error:
            raise UserError(f"--json {json} cannot be written: {error.strerror}; give another file.") from error
    print_report(report)
    return any(finding["severity"] == "severe" for finding in findings)
