"""What a run measured by step, and how long its texts are, as figures."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

from lightning_nlp.evaluation.figures import MOST_LINES, Bar, Figure, Line
from lightning_nlp.report.files import RunFiles

# Each figure: its heading, what y is, and the metrics in it with their names.
LEARNING = (
    ("Loss", "loss", {"train/loss": "train", "val/loss": "validation"}),
    ("Accuracy on validation", "accuracy", {"val/accuracy": "accuracy", "val/f1": "f1"}),
    ("Perplexity on validation", "perplexity", {"val/perplexity": "perplexity"}),
    ("Bits per character on validation", "bits per character", {"val/bits_per_char": "bits"}),
    ("Accuracy on masked tokens, validation", "accuracy", {"val/top1": "top-1", "val/top5": "top-5"}),
    ("Learning rate", "learning rate", {"train/lr": "learning rate"}),
)
MACHINE = (
    ("Speed", "tokens/s", "perf/tokens_per_s"),
    ("Memory", "GiB at the peak", "perf/peak_memory_gib"),
    ("Waiting for data", "% of the time", "perf/data_wait"),
    ("Use of the arithmetic", "% of the peak", "perf/mfu"),
)


def learning(run: RunFiles, monitor: str | None) -> list[Figure]:
    """Losses, what the validations measured, and the learning rate, by step.

    Args:
        run: The run.
        monitor: The metric that the checkpoint is chosen by.
    """
    charts, best, found = [*LEARNING], best_step(run, monitor), []
    if monitor and not any(monitor in metrics for _, _, metrics in charts):
        charts.insert(1, (monitor, monitor, {monitor: monitor}))
    for heading, up, metrics in charts:
        lines = [Line(name, *run.series(key)) for key, name in metrics.items()]
        note = "The training loss is that of single batches." if heading == "Loss" else ""
        found += by_step(heading, up, lines, note, best)
    return found


def machine(run: RunFiles) -> list[Figure]:
    """Speed and memory by step.

    Args:
        run: The run.
    """
    found = []
    for heading, up, key in MACHINE:
        x, y = run.series(key)
        scale = 100 if up.startswith("%") else 1
        found += by_step(heading, up, [Line(up, x, [scale * value for value in y])])
    return found


def by_step(heading: str, up: str, lines: Sequence[Line], note: str = "", best: int | None = None) -> list[Figure]:
    """A figure of what was logged during a training; none if no line has a second point.

    Args:
        heading: What it shows.
        up: What y is.
        lines: Curves by step; those without points are left out, and those that a chart has no room for.
        note: A sentence to add.
        best: The best checkpoint's step, to be marked.
    """
    found = [line for line in lines if line.x]
    lines = found[:MOST_LINES]
    if not any(len(line.x) > 1 for line in lines):
        return []
    text = "; ".join(_said(line) for line in lines)
    text = f"{text[0].upper()}{text[1:]}. {note}"
    text += f" The dashed line marks the best checkpoint, step {best:,}." if best is not None else ""
    text += f" The first {len(lines)} of {len(found)} curves." if len(found) > len(lines) else ""
    return [Figure(re.sub(r"\W+", "-", heading.lower()), heading, text.strip(), "step", up, lines=lines, best=best)]


def lengths(data: dict[str, Any]) -> list[Figure]:
    """How long the texts are.

    Args:
        data: The run's data.json.
    """
    found = data.get("lengths") or {}
    counts = found.get("train")
    if not counts:
        return []
    edges = found["edges"]
    bars = [Bar(low, high, count) for low, high, count in zip(edges[:-1], edges[1:], counts, strict=True)]
    top = max(bars, key=lambda bar: bar.value)
    text = f"Most texts of train have {top.low} to {top.high - 1} tokens ({top.value:,} of {sum(counts):,})."
    return [Figure("lengths", "Length of the texts", text, "tokens", "texts", bars=bars)]


def best_step(run: RunFiles, monitor: str | None) -> int | None:
    """The step with the best value of a metric, numbered from 1; the first of equal ones, as the checkpoint's."""
    if monitor is None:
        return None
    x, y = run.series(monitor)
    if not x:
        return None
    mode = run.config.get("checkpoint", {}).get("mode", "min")
    return int(x[y.index(max(y) if mode == "max" else min(y))])


def _said(line: Line) -> str:
    first, last, low, high = (
        f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.4g}"
        for value in (line.y[0], line.y[-1], min(line.y), max(line.y))
    )
    if len(line.x) == 1:
        return f"{line.name} {last} at step {line.x[0]:,.0f}"
    span = f"{first} at step {line.x[0]:,.0f} to {last} at step {line.x[-1]:,.0f}"
    return f"{line.name} from {span}, between {low} and {high}"
