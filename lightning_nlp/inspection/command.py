"""`inspect`: the data before a training, as a report, a JSON file, and an exit code."""

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from lightning.pytorch.utilities.rank_zero import rank_zero_info

from lightning_nlp.atomic_files import write_whole
from lightning_nlp.errors import UserError
from lightning_nlp.inspection.data_facts import as_json, token_facts
from lightning_nlp.inspection.reading import linear_baseline, read_texts
from lightning_nlp.inspection.verdict import SEVERITIES, text_findings

SHOWN = 5  # texts with two labels; the JSON file lists more


def inspect_data(datamodule: Any, json: str | None) -> bool:
    """Inspect the data of a `TextDataModule`, print the findings, and write them to the file `json`.

    The file's sections are `tokens` (`data.json` without its warnings), `max_length`, `counts` (of cleaning),
    `raw` and `conflicts` (of `read_texts`), `baseline` (null without labels) and `findings`.

    Returns:
        Whether a finding is severe, according to `verdict.py`.

    Raises:
        UserError: If the data cannot be used at all, or the file cannot be written.
    """
    if json is not None and (Path(json).is_dir() or not Path(json).absolute().parent.is_dir()):
        raise UserError(f"--json {json} cannot be written: give a file in a folder that exists.")
    name = type(datamodule).__name__
    if not hasattr(datamodule, "token_rows"):
        raise UserError(f"`inspect` cannot read the texts of a {name}: give --data a module of this package.")
    if getattr(datamodule, "streaming", False):
        raise UserError(f"`inspect` reads all texts, not a {name}: give --data MaskedLanguageModelingDataModule.")
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
            raise UserError(f"--json {json} cannot be written ({error.strerror}): give another file.") from error
    print_report(report)
    return any(finding["severity"] == "severe" for finding in findings)


def print_report(report: dict[str, Any]) -> None:
    """Print the facts of each split, and the verdict last, where people look."""
    tokens = report["tokens"]
    print(f"Data: {tokens['source']}", *tokens["cleaning"], sep="\n  ")
    for split in tokens["splits"]:
        print(f"{split}, after cleaning:", *_split(split, report), sep="\n  ")
    facts, baseline, unknown = tokens["tokenizer"], report["baseline"] or {}, tokens["tokenizer"]["unknown_rate"]
    print(
        f"Tokenizer: {facts['vocab_size']:,} tokens, {facts['used'] / facts['vocab_size']:.1%} of them used in train; "
        f"{facts['chars_per_token']:.2f} characters a token; "
        f"{'it has no unknown token' if unknown is None else f'{unknown:.3%} unknown'}; "
        f"{'lowercase' if facts['lowercase'] else 'keeps case'}"
    )
    for found in report["conflicts"][:SHOWN]:
        print(f"Two labels ({found['labels']}): {found['first']} = {found['again']}: {found['text']}")
    if "skipped" in baseline:
        print(f"The accuracy to beat: left out, {baseline['skipped']}")
    elif baseline:
        print(
            f"The accuracy to beat: {baseline['accuracy']:.4f} ± {baseline['error']:.4f}, macro F1 {baseline['f1']:.4f}"
            f"; always the most frequent label: {baseline['majority']:.4f} (logistic regression on words and pairs, "
            f"5-fold cross-validation on {baseline['texts']:,} training texts)"
        )
    for finding in report["findings"]:
        print(f"{finding['severity']}: {finding['text']}")
    number = sum(finding["severity"] == "severe" for finding in report["findings"])
    print(f"{number} severe finding{'' if number == 1 else 's'}." if number else "Nothing severe.")


def _split(split: str, report: dict[str, Any]) -> Iterator[str]:
    part, raw, names = report["tokens"]["splits"][split], report["raw"].get(split), report["tokens"]["label_names"]
    texts, pieces = max(part["texts"], 1), part["rows"] - part["texts"]  # a language model splits, a classifier cuts
    lost = f"{pieces:,} more parts from texts beyond" if pieces else f"{part['cut'] / texts:.1%} cut at"
    length = f"{part['tokens']:,} tokens, {part['tokens'] / texts:.1f} a text"
    yield f"{part['texts']:,} texts, {length}, {lost} max_length {report['max_length']}"
    if names:
        yield f"labels: {_shares(zip(names, part['class_counts'], strict=True), texts)}"
    if split != "train":
        yield f"rows that are also in train: {part['copies_of_train']:,}"
    if raw:
        yield f"markup before cleaning: {_shares(raw['markup'].items(), raw['rows']) or 'none'}"


def _shares(counts: Iterable[tuple[str, int]], total: int) -> str:
    return ", ".join(f"{name} {number:,} ({number / total:.1%})" for name, number in counts)
