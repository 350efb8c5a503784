"""The report of `inspect`, as lines of text."""

from collections.abc import Iterable
from typing import Any

SHOWN = 5  # texts with two labels; the JSON file has more


def print_report(report: dict[str, Any]) -> None:
    """Print all sections, and the verdict last, where people look."""
    for title, lines in _sections(report).items():
        if lines:
            print(title, *(f"  {line}" for line in lines), "", sep="\n")
    for finding in report["findings"]:
        print(f"{finding['severity']}: {finding['text']}")
    number = sum(finding["severity"] == "severe" for finding in report["findings"])
    end = f"{number} severe finding{'' if number == 1 else 's'}" if number else "Nothing severe"
    print(f"{end}.")


def _sections(report: dict[str, Any]) -> dict[str, list[str]]:
    tokens, raw = report["tokens"], report["raw"]
    splits = tokens["splits"].items()
    return {
        f"Data: {tokens['source']}": tokens["cleaning"],
        "Labels, after cleaning": [
            f"{split}: {_shares(zip(tokens['label_names'], part['class_counts'], strict=True), part['texts'])}"
            for split, part in splits
            if tokens["label_names"]
        ],
        "Lengths": [f"{split}, after cleaning: {_length(part)} {report['max_length']}" for split, part in splits],
        "Tokenizer": [_tokenizer(tokens["tokenizer"])],
        "Texts that occur more than once": _repeats(report),
        "Markup": [
            f"{split}: {_shares(part['markup'].items(), part['rows']) or 'none'}" for split, part in raw.items()
        ],
        "The accuracy to beat": _linear_model(report["baseline"]),
    }


def _shares(counts: Iterable[tuple[str, int]], total: int) -> str:
    return ", ".join(f"{name} {number:,} ({number / max(total, 1):.1%})" for name, number in counts)


def _length(part: dict[str, Any]) -> str:
    texts = max(part["texts"], 1)
    split_up = part["rows"] - part["texts"]  # of a language model; a classifier cuts
    lost = f"{split_up:,} parts more of texts beyond" if split_up else f"{part['cut'] / texts:.1%} cut at"
    return f"{part['tokens']:,} tokens, {part['tokens'] / texts:.1f} a text, {lost} max_length"


def _tokenizer(facts: dict[str, Any]) -> str:
    unknown = "it has no unknown token" if facts["unknown_rate"] is None else f"{facts['unknown_rate']:.3%} unknown"
    used = f"{facts['vocab_size']:,} tokens, {facts['used'] / facts['vocab_size']:.1%} of them used in train"
    case = "lowercase" if facts["lowercase"] else "keeps case"
    return f"{used}; {facts['chars_per_token']:.2f} characters a token, {unknown}; {case}"


def _repeats(report: dict[str, Any]) -> list[str]:
    splits = report["tokens"]["splits"]
    return [
        *(f"two labels ({e['labels']}): {e['first']} = {e['again']}: {e['text']}" for e in report["conflicts"][:SHOWN]),
        *(f"{split} rows in train, after cleaning: {splits[split]['copies_of_train']:,}" for split in (*splits,)[1:]),
    ]


def _linear_model(baseline: dict[str, Any] | None) -> list[str]:
    if baseline is None:
        return []
    if "skipped" in baseline:
        return [f"left out: {baseline['skipped']}"]
    return [
        f"logistic regression on words and pairs: {baseline['accuracy']:.4f} ± {baseline['error']:.4f}, macro F1 "
        f"{baseline['f1']:.4f} (5-fold cross-validation on {baseline['texts']:,} training texts)",
        f"always the most frequent label: {baseline['majority']:.4f}",
    ]
