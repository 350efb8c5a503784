"""A run's files, read for its report; all but config.yaml may be missing."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from lightning_nlp.errors import UserError
from lightning_nlp.run.metrics_csv import read_rows
from lightning_nlp.run.runs import existing_run
from lightning_nlp.tasks import TASKS, Task, task_of_module

FACTS = "facts.json"


@dataclass
class RunFiles:
    """The contents of a run's files."""

    path: Path
    command: str  # from the first line of config.yaml
    config: dict[str, Any]
    config_text: str
    rows: list[dict[str, float]]  # of metrics.csv; `step` is the number of optimizer steps done
    validations: list[dict[str, Any]]  # their records, by step
    test: dict[str, Any]  # its record
    facts: dict[str, Any]  # facts.json
    data: dict[str, Any]  # data.json

    @property
    def name(self) -> str:
        """The last two parts of its path: `cls/0`."""
        return "/".join(self.path.resolve().parts[-2:])

    @property
    def record(self) -> dict[str, Any]:
        """The record of the test, or else of the last validation."""
        return self.test or (self.validations[-1] if self.validations else {})

    @property
    def task(self) -> Task | None:
        """The task that was evaluated, or else the module's; None for a user's own module."""
        return TASKS.get(self.record.get("task", "")) or task_of_module(self.config["model"]["class_path"])

    def series(self, name: str) -> tuple[list[float], list[float]]:
        """A metric's steps and values."""
        points = [(row["step"], row[name]) for row in self.rows if name in row]
        return [step for step, _ in points], [value for _, value in points]


def read_run(path: str | Path) -> RunFiles:
    """Read a run's files; raises a UserError if it is not a run or a file is damaged."""
    run = existing_run(str(path))
    try:
        text = (run / "config.yaml").read_text(encoding="utf-8")
        config = yaml.safe_load(text)
        assert "model" in dict(config or {}), "not the configuration of a training"
        rows = [_row(row) for row in read_rows(run / "metrics.csv")]
        records = [_json(file) for file in sorted((run / "evaluation").glob("val-*.json"))]
        test, facts, data = (_json(run / name) for name in ("evaluation/test.json", FACTS, "data.json"))
    except (OSError, ValueError, AssertionError, yaml.YAMLError) as error:
        raise UserError(f"The run {run} cannot be read ({error}): give another run.") from error
    command = text.partition("\n")[0].removeprefix("# ") if text.startswith("# python") else ""
    return RunFiles(run, command, config, text, rows, records, test, facts, data)


def _row(row: dict[str, str]) -> dict[str, float]:
    steps = int(row["step"]) + (not any(name.startswith("test/") for name in row))  # Lightning counts them from 0
    return {name: int(value) if name == "epoch" else float(value) for name, value in row.items()} | {"step": steps}


def _json(path: Path) -> dict[str, Any]:
    content = json.loads(path.read_text(encoding="utf-8")) if path.is_file() else {}
    if not isinstance(content, dict):
        raise ValueError(f"{path.name} is not a record")
    return content
