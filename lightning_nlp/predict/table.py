"""Predictions as a table for the terminal."""

import itertools
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from typing import Any

from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

from lightning_nlp.data.texts.normalize import PAIR
from lightning_nlp.evaluation.words import BETWEEN

NAMED_WORDS = 6  # shown of those that drove a prediction
NAMED, MARKED = 0.1, 0.25  # the score from which a word is named, and marked; the strongest word has 1
WIDE = ("fillings", "tags")  # predictions as wide as the text
Cells = tuple[list[str], list[Text]]  # what is counted, and the cells beside the text
LONGEST = 1000  # characters of a text: no terminal shows more in one line


class PredictionTable:
    """A table that grows window by window and keeps its columns; on stdout by default."""

    def __init__(self, console: Console | None = None) -> None:
        self.console = Console() if console is None else console
        self.total = 0
        self.counts: Counter[str] = Counter()
        self.label_width: int | None = None

    def add(self, texts: Iterable[tuple[int, Any]], records: Sequence[dict[str, Any]]) -> None:
        """Print a window's rows."""
        if self.label_width is None:  # from the first window on
            labels = [printable(name) for record in records for name in record.get("probabilities", ())]
            self.label_width = min(max(map(len, [*labels, "label"])), 24)
        half = (self.console.width - 12) // 2
        wide = next((name for name in WIDE if any(name in record for record in records)), None)
        reached = any("reached" in record for record in records)
        reached_width = max(self.label_width, len("reached"))
        room = self.console.width - self.label_width - 29 - (reached_width + 2) * reached  # left for the text
        table = Table(box=box.SIMPLE_HEAD, show_header=not self.total, expand=True, pad_edge=False, show_edge=False)
        table.add_column("", justify="right", width=6, style="dim")
        table.add_column("text", ratio=1, no_wrap=True, overflow="ellipsis")
        if wide:
            table.add_column(wide, ratio=1)
        else:
            table.add_column("label", width=self.label_width, no_wrap=True, overflow="ellipsis", style="bold")
            table.add_column("probability", width=11, justify="right")
        if reached:
            table.add_column("reached", width=reached_width, overflow="fold")
        for (_, text), record in zip(texts, records, strict=True):
            words = text if isinstance(text, str) else " ".join(text)
            parts = [Text(printable(part[:LONGEST])) for part in words.split(PAIR)]
            for first in parts[:-1]:  # of a pair: it leaves room for the second
                first.truncate(max(room // 2 - 2, 1), overflow="ellipsis")
            cell = Text(BETWEEN).join(parts)
            if "words" in record and "label" in record:
                cell = _explained(record["words"], room)
            counted, cells = ["none"], [Text("none")]
            if "reason" not in record:
                counted, cells = next(cells_of(record, half) for name, cells_of in CELLS.items() if name in record)
            elif wide:
                cells = [Text(record["reason"], style="italic")]
            else:
                cell = Text(record["reason"], style="italic")
            self.counts.update(counted)
            table.add_row(Text(str(record["index"])), cell, *cells)
        self.total += len(records)
        self.console.print(table)

    def close(self) -> None:
        """Print the totals."""
        by_label = ", ".join(f"{label} ({count:,})" for label, count in self.counts.most_common())
        texts = f"{self.total:,} text{'' if self.total == 1 else 's'}"
        self.console.print(Text(f"\n{texts}: {by_label or 'nothing to predict'}."))


def printable(text: str) -> str:
    """A text in one line, without control characters."""
    return " ".join("".join(c if c.isprintable() or c.isspace() else " " for c in text).split())


def _label(record: dict[str, Any], room: int) -> Cells:
    label = printable(record["label"])
    reached = [_lines(record["reached"], "none")] if "reached" in record else []
    return [label], [Text(label), Text(f"{record['probabilities'][record['label']]:.3f}"), *reached]


def _labels(record: dict[str, Any], room: int) -> Cells:
    labels = [printable(label) for label in record["labels"]] or ["no label"]
    return labels, [_lines(labels), _lines([f"{record['probabilities'][label]:.3f}" for label in record["labels"]])]


def _fillings(record: dict[str, Any], room: int) -> Cells:
    """The likeliest tokens for each [MASK], each on a new line; a token and its probability stay together."""
    lines: list[Text] = []
    for best in record["fillings"]:
        lines.append(Text())
        for item in best:
            part = Text.assemble((printable(item["token"]), "bold"), f" {item['probability']:.3f}")
            if lines[-1] and lines[-1].cell_len + part.cell_len + 2 > room:
                lines.append(Text())
            lines[-1].append("  " if lines[-1] else "").append(part)
    return ["filled"], [Text("\n").join(lines)]


def _tags(record: dict[str, Any], room: int) -> Cells:
    pairs = [(entity["text"], entity["type"]) for entity in record.get("entities", ())]
    if "entities" not in record:
        pairs = [*zip(record["words"], record["tags"], strict=True)]
    parts = [Text.assemble((printable(text), "bold"), f" {printable(tag)}") for text, tag in pairs]
    return ["tagged"], [Text("  ").join(parts) if parts else Text("none")]


def _lines(lines: list[str], otherwise: str = "") -> Text:
    return Text("\n".join(map(printable, lines)) or otherwise)


def _explained(words: list[list[Any]], room: int) -> Text:
    """A text with its driving words marked and listed, starting so that the strongest fits into `room`."""
    words = [[printable(word), score] for word, score in words]
    strongest = sorted((pair for pair in words if abs(pair[1]) >= NAMED), key=lambda pair: -abs(pair[1]))[:NAMED_WORDS]
    line = Text(" ").join(Text(word, "" if abs(score) < MARKED else _style(score)) for word, score in words)
    ends = list(itertools.accumulate(len(word) + 1 for word, _ in words))
    needed = ends[words.index(strongest[0])] if strongest else 0
    if needed > room:
        line = Text("… ").append(line[next(end for end in ends if end > needed - 0.7 * room) :])
    named = [Text(f"{'+' if score > 0 else '-'}{word}", _style(score)) for word, score in strongest]
    return Text("\n").join([line, Text("  ").join(named)])


def _style(score: float) -> str:
    return "bold underline green" if score > 0 else "italic red"


# by what a record has
CELLS: dict[str, Callable[[dict[str, Any], int], Cells]] = {
    "fillings": _fillings,
    "tags": _tags,
    "value": lambda record, room: (["predicted"], [Text(f"{record['value']:.4g}")]),
    "labels": _labels,
    "label": _label,
}
