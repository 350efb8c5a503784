"""Figures of what a run measured by step, and of its texts' lengths."""

import re
from collections.abc import Iterable, Mapping, Sequence
from itertools import pairwise
from typing import Any

from lightning_nlp.evaluation.figures import MOST_LINES, Bar, Figure, Line
from lightning_nlp.report.run_files import RunFiles
from lightning_nlp.tasks import TASKS

Shown = tuple[str, str, Mapping[str, str]]  # a figure's heading, what y is, and its metrics with their names
LOSS: Shown = ("Loss", "loss", {"train/loss": "train batches", "val/loss": "validation"})
RATE: Shown = ("Learning rate", "learning rate", {"train/lr": "learning rate"})
MACHINE: tuple[Shown, ...] = (
    ("Speed", "tokens/s", {"perf/tokens_per_s": "tokens/s"}),
    ("Memory", "GiB at the peak", {"perf/peak_memory_gib": "GiB"}),
    ("Waiting for data", "share of the time", {"perf/data_wait": "share"}),
    ("Use of the arithmetic", "share of the peak", {"perf/mfu": "share"}),
)


def shown_of(*runs: RunFiles) -> list[Shown]:
    """The figures of a training for these runs' tasks; a user's own module may log those of any task."""
    tasks = [run.task for run in runs]
    every = [task for task in TASKS.values() if task in tasks or None in tasks]
    return [LOSS, *(curve for task in every for curve in task.curves), RATE]


def learning(run: RunFiles, monitor: str | None) -> list[Figure]:
    """Losses, validation metrics and learning rate; `monitor` chose the checkpoint."""
    shown = shown_of(run)
    if monitor and not any(monitor in metrics for _, _, metrics in shown):
        shown.insert(1, (monitor, monitor, {monitor: monitor}))
    return measured(run, shown, best_step(run, monitor))


def measured(run: RunFiles, charts: Iterable[Shown] = MACHINE, best: int | None = None) -> list[Figure]:
    """Figures of what a run logged by step, with the best step marked; those without values are left out."""
    figures = []
    for heading, up, metrics in charts:
        figures += by_step(heading, up, [Line(name, *run.series(key)) for key, name in metrics.items()], best)
    return figures


def by_step(heading: str, up: str, lines: Sequence[Line], best: int | None = None) -> list[Figure]:
    """A figure of the curves that have points, at most `MOST_LINES`; none if no curve has two points."""
    visible = [line for line in lines if line.x]
    lines = visible[:MOST_LINES]
    if not any(len(line.x) > 1 for line in lines):
        return []
    text = "; ".join(map(_said, lines)) + "."
    text += f" Best checkpoint: step {best:,}." if best is not None else ""
    text += f" The first {len(lines)} of {len(visible)} curves." if len(visible) > len(lines) else ""
    return [Figure(re.sub(r"\W+", "-", heading.lower()), heading, text, "step", up, lines=lines, best=best)]


def lengths(data: dict[str, Any]) -> list[Figure]:
    """A histogram of the texts' lengths."""
    histogram = data.get("lengths") or {}
    counts = histogram.get("train")
    if not counts:
        return []
    bars = [Bar(low, high, count) for (low, high), count in zip(pairwise(histogram["edges"]), counts, strict=True)]
    top = max(bars, key=lambda bar: bar.value)
    text = f"Most texts of train have {top.low} to {top.high - 1} tokens ({top.value:,} of {sum(counts):,})."
    return [Figure("lengths", "Length of the texts", text, "tokens", "texts", bars=bars)]


def best_step(run: RunFiles, monitor: str | None) -> int | None:
    """The best checkpoint's step; for a run that did not end, the first step with the best value."""
    if "checkpoint_step" in run.facts:
        return int(run.facts["checkpoint_step"]) if run.facts["validation"] else None
    x, y = run.series(monitor or "")
    if not x:
        return None
    best = max if run.config.get("checkpoint", {}).get("mode") == "max" else min
    return int(x[y.index(best(y))])


def _said(line: Line) -> str:
    values = min(line.y), max(line.y), line.y[-1]
    low, high, last = (f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.4g}" for value in values)
    return f"{line.name}: lowest {low}, highest {high}, last {last} at step {line.x[-1]:,.0f}"
