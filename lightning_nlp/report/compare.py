"""Runs side by side: what differs in their configurations, and their results."""

import json
import re
from typing import Any

from lightning_nlp.evaluation.figures import Figure, Line
from lightning_nlp.privacy import leaves
from lightning_nlp.report.run_figures import MACHINE, by_step, shown_of
from lightning_nlp.report.run_files import RunFiles
from lightning_nlp.tasks import METRICS

PLACES = ("checkpoint.dirpath", "trainer.default_root_dir", "trainer.logger")  # where a run writes
LESS_IS_BETTER = {"seconds", "peak_memory_gib"} | {name for name, metric in METRICS.items() if metric.better == "min"}


def comparison(runs: list[RunFiles]) -> dict[str, Any]:
    """The values for the page of two or more runs; differences are relative to the first."""
    names = [run.name for run in runs]
    if len(set(names)) < len(names):
        names = [str(run.path) for run in runs]
    stages = [{"test": "test", "val": "validation"}.get(run.record.get("stage", ""), "not measured") for run in runs]
    return {
        "names": names,
        "stages": stages,
        "same_stage": len(set(stages)) == 1,
        "settings": differing(runs),
        "results": results([_measured(run) for run in runs]),
        "curves": overlaid(runs, names),
    }


def differing(runs: list[RunFiles]) -> list[tuple[str, list[str]]]:
    """The settings that differ, with their value in each run, `–` for none."""
    flat = [settings(run.config) for run in runs]
    keys = dict.fromkeys(key for part in flat for key in part)
    rows = [(key, [part.get(key, "–") for part in flat]) for key in keys]
    return [(key, values) for key, values in rows if len(set(values)) > 1]


def settings(config: dict[str, Any]) -> dict[str, str]:
    """A configuration's values by dotted key, as on the command line."""
    by_key: dict[str, list[str]] = {}
    for key, value in leaves(config):
        key = re.sub(r"^(model|data)\.init_args", r"\1", key)
        if not key.startswith(PLACES):
            text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False, default=str)
            by_key.setdefault(key, []).append(text)
    return {key: ", ".join(texts) for key, texts in by_key.items()}


def results(measured: list[dict[str, float]]) -> list[dict[str, Any]]:
    """The rows of a table: each metric in each run, with its difference from the first run's."""
    rows = []
    for name in dict.fromkeys(name for part in measured for name in part):
        first, cells = measured[0].get(name), []
        for value in (part.get(name) for part in measured):
            difference = None if value is None or first is None else value - first
            better = None if not difference else (difference > 0) != (name in LESS_IS_BETTER)
            cells.append({"value": value, "difference": difference, "better": better})
        rows.append({"name": name, "cells": cells})
    return rows


def overlaid(runs: list[RunFiles], names: list[str]) -> list[Figure]:
    """One figure per curve, with the runs that have it."""
    figures = []
    for heading, up, metrics in (*shown_of(*runs), *MACHINE):
        for key, part in metrics.items():
            lines = [Line(name, *run.series(key)) for run, name in zip(runs, names, strict=True)]
            figures += by_step(heading if len(metrics) == 1 else f"{heading}: {part}", up, lines)
    return figures


def _measured(run: RunFiles) -> dict[str, float]:
    took = () if run.facts.get("since_step") else ("seconds",)  # for a resumed run only part of it is known
    facts = {name: run.facts.get(name) for name in (*took, "tokens_per_s", "peak_memory_gib")}
    metrics = dict(sorted(run.record.get("metrics", {}).items())) | {k: v for k, v in facts.items() if v is not None}
    return metrics | {f"f1 of {part['label']}": part["f1"] for part in run.record.get("by_class", [])}
