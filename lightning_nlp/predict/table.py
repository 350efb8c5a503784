"""Predictions as a table for a person at a terminal."""

import itertools
from collections import Counter
from collections.abc import Iterable
from typing import Any

from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

from lightning_nlp.data.texts.normalize import PAIR
from lightning_nlp.evaluation.words import BETWEEN

NAMED_WORDS = 6  # of those that drove a prediction
NAMED, MARKED = 0.1, 0.25  # the score from which a word is named, and marked; the strongest word has 1
LONGEST = 1000  # characters of a text: no terminal shows more in one line


class PredictionTable:
    """A table that grows by a window of texts at a time and keeps its columns; on stdout by default."""

    def __init__(self, console: Console | None = None) -> None:
        self.console = Console() if console is None else console
        self.counts: Counter[str] = Counter()
        self.label_width: int | None = None

    def add(self, texts: Iterable[tuple[int, Any]], records: Iterable[dict[str, Any]]) -> None:
        """Print a window's rows."""
        first = not self.counts
        pairs = [
            (text if isinstance(text, str) else " ".join(text), record)
            for (_, text), record in zip(texts, records, strict=True)
        ]
        if self.label_width is None:  # from the first window on
            labels = [name for _, record in pairs for name in record.get("probabilities", ())]
            self.label_width = min(max((len(printable(name)) for name in [*labels, "label"]), default=0), 24)
        fills_masks = any("fillings" in record for _, record in pairs)
        tagged = any("tags" in record for _, record in pairs)
        reached = any("reached" in record for _, record in pairs)
        reached_width = max(self.label_width, len("reached"))
        room = self.console.width - self.label_width - 29 - (reached_width + 2) * reached  # left for the text
        table = Table(box=box.SIMPLE_HEAD, show_header=first, expand=True, pad_edge=False, show_edge=False)
        table.add_column("", justify="right", width=6, style="dim")
        table.add_column("text", ratio=1, no_wrap=True, overflow="ellipsis")
        if fills_masks or tagged:
            table.add_column("fillings" if fills_masks else "tags", ratio=1)
        else:
            table.add_column("label", width=self.label_width, no_wrap=True, overflow="ellipsis", style="bold")
            table.add_column("probability", width=11, justify="right")
            if reached:
                table.add_column("reached", width=reached_width, overflow="fold")
        for text, record in pairs:
            shown = Text(printable(text[:LONGEST].replace(PAIR, BETWEEN)))
            if "reason" in record:
                counted, reason = "none", Text(record["reason"], style="italic")
                cells = [reason] if fills_masks else [Text("none"), Text("")]
                shown = shown if fills_masks else reason
            elif tagged:
                counted, cells = "tagged", [_tagged(record)]
            elif fills_masks:
                counted, cells = "filled", [_fillings(record["fillings"], (self.console.width - 12) // 2)]
            elif "value" in record:
                counted, cells = "predicted", [Text(f"{record['value']:.4g}"), Text("")]
            elif "labels" in record:
                for label in record["labels"]:
                    self.counts[printable(label)] += 1
                counted = "" if record["labels"] else "no label"
                chances = [record["probabilities"][label] for label in record["labels"]]
                cells = [Text("\n".join(map(printable, record["labels"])) or "no label")]
                cells.append(Text("\n".join(f"{chance:.3f}" for chance in chances)))
            else:
                counted = printable(record["label"])
                cells = [Text(counted), Text(f"{record['probabilities'][record['label']]:.3f}")]
                if reached:
                    cells.append(Text("\n".join(map(printable, record["reached"])) or "none"))
                if "words" in record:
                    shown = _explained(record["words"], room)
            self.counts[counted] += 1
            table.add_row(Text(str(record["index"])), shown, *cells)
        self.console.print(table)

    def close(self) -> None:
        """Print the totals."""
        total = self.counts.total()
        by_label = ", ".join(f"{label} ({count:,})" for label, count in self.counts.most_common())
        self.console.print(Text(f"\n{total:,} text{'' if total == 1 else 's'}: {by_label or 'nothing to predict'}."))


def printable(text: str) -> str:
    """A text in one line, without control characters."""
    return " ".join("".join(c if c.isprintable() or c.isspace() else " " for c in text).split())


def _fillings(fillings: list[list[dict[str, Any]]], room: int) -> Text:
    """The likeliest tokens for each [MASK], each on new lines; a token and its probability stay together."""
    lines: list[Text] = []
    for best in fillings:
        lines.append(Text())
        for item in best:
            part = Text.assemble((printable(item["token"]), "bold"), f" {item['probability']:.3f}")
            if lines[-1] and lines[-1].cell_len + part.cell_len + 2 > room:
                lines.append(Text())
            lines[-1].append("  " if lines[-1] else "").append(part)
    return Text("\n").join(lines)


def _tagged(record: dict[str, Any]) -> Text:
    """The entities, or the words that have a tag."""
    pairs = [(entity["text"], entity["type"]) for entity in record.get("entities", ())]
    if "entities" not in record:
        pairs = [*zip(record["words"], record["tags"], strict=True)]
    parts = [Text.assemble((printable(text), "bold"), f" {printable(tag)}") for text, tag in pairs]
    return Text("  ").join(parts) if parts else Text("none")


def _explained(words: list[list[Any]], room: int) -> Text:
    """A text with its driving words marked, starting where the strongest fits into `room`; these below it."""
    words = [[printable(word), score] for word, score in words]
    strongest = sorted((pair for pair in words if abs(pair[1]) >= NAMED), key=lambda pair: -abs(pair[1]))[:NAMED_WORDS]
    ends = list(itertools.accumulate(len(word) + 1 for word, _ in words))
    needed = ends[words.index(strongest[0])] if strongest else 0
    left_out = needed - 0.7 * room if needed > room else 0.0
    line = Text("… " if left_out > 0 else "")
    for (word, score), end in zip(words, ends, strict=True):
        if end - len(word) > left_out:
            line.append(word, "" if abs(score) < MARKED else _style(score))
            line.append(" ")
    named = [Text(f"{'+' if score > 0 else '-'}{word}", _style(score)) for word, score in strongest]
    return Text("\n").join([line, Text("  ").join(named)])


def _style(score: float) -> str:
    return "bold underline green" if score > 0 else "italic red"
