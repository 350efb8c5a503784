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
    """What the page of at least two runs shows; the differences are to the first."""
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
    """The settings that differ: each with its value in each run, `–` for none."""
    flat = [settings(run.config) for run in runs]
    keys = dict.fromkeys(key for part in flat for key in part)
    found = [(key, [part.get(key, "–") for part in flat]) for key in keys]
    return [(key, values) for key, values in found if len(set(values)) > 1]


def settings(config: dict[str, Any]) -> dict[str, str]:
    """A configuration's values by their dotted keys, as on the command line."""
    found: dict[str, list[str]] = {}
    for key, value in leaves(config):
        key = re.sub(r"^(model|data)\.init_args", r"\1", key)
        if not key.startswith(PLACES):
            text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False, default=str)
            found.setdefault(key, []).append(text)
    return {key: ", ".join(texts) for key, texts in found.items()}


def results(measured: list[dict[str, float]]) -> list[dict[str, Any]]:
    """A table's rows: each metric in each run, and its difference from the first run's."""
    found = []
    for name in dict.fromkeys(name for part in measured for name in part):
        first, cells = measured[0].get(name), []
        for value in (part.get(name) for part in measured):
            difference = None if value is None or first is None else value - first
            better = None if not difference else (difference > 0) != (name in LESS_IS_BETTER)
            cells.append({"value": value, "difference": difference, "better": better})
        found.append({"name": name, "cells": cells})
    return found


def overlaid(runs: list[RunFiles], names: list[str]) -> list[Figure]:
    """Each curve, of the runs that have it."""
    found = []
    for heading, up, metrics in (*shown_of(*runs), *MACHINE):
        for key, part in metrics.items():
            lines = [Line(name, *run.series(key)) for run, name in zip(runs, names, strict=True)]
            found += by_step(heading if len(metrics) == 1 else f"{heading}: {part}", up, lines)
    return found


def _measured(run: RunFiles) -> dict[str, float]:
    """The metrics of the last evaluation, what the training took, and the F1 of each class."""
    took = () if run.facts.get("since_step") else ("seconds",)  # of a resumed run only a part is known
    facts = {name: run.facts.get(name) for name in (*took, "tokens_per_s", "peak_memory_gib")}
    found = dict(sorted(run.record.get("metrics", {}).items())) | {k: v for k, v in facts.items() if v is not None}
    return found | {f"f1 of {part['label']}": part["f1"] for part in run.record.get("by_class", [])}
