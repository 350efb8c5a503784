"""A run's files, read for its report; any but config.yaml may be missing."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from lightning_nlp.errors import UserError
from lightning_nlp.run.metrics_csv import read_rows
from lightning_nlp.run.runs import existing_run

FACTS = "facts.json"


@dataclass
class RunFiles:
    """What the files of a run say."""

    path: Path
    command: str  # from the first line of config.yaml
    config: dict[str, Any]
    config_text: str
    rows: list[dict[str, float]]  # of metrics.csv
    validations: list[dict[str, Any]]  # their records, by step
    test: dict[str, Any]  # its record
    facts: dict[str, Any]  # facts.json
    data: dict[str, Any]  # data.json

    @property
    def name(self) -> str:
        """The last two parts of its path: `cls/0`."""
        return "/".join(self.path.resolve().parts[-2:])

    def series(self, name: str) -> tuple[list[float], list[float]]:
        """The steps, numbered from 1, and the values of a metric."""
        found = [(row["step"] + 1, row[name]) for row in self.rows if name in row]
        return [step for step, _ in found], [value for _, value in found]


def read_run(path: str | Path) -> RunFiles:
    """Read a run's files.

    Raises:
        UserError: If it is no run, or one of the files is damaged.
    """
    run = existing_run(str(path))
    try:
        text = (run / "config.yaml").read_text(encoding="utf-8")
        config = yaml.safe_load(text)
        assert "model" in dict(config or {}), "no configuration of a training"
        rows = [{name: float(value) for name, value in row.items()} for row in read_rows(run / "metrics.csv")]
        records = [_json(file) for file in sorted((run / "evaluation").glob("val-*.json"))]
        test, facts, data = (_json(run / name) for name in ("evaluation/test.json", FACTS, "data.json"))
    except (OSError, ValueError, AssertionError, yaml.YAMLError) as error:
        raise UserError(f"The run {run} cannot be read ({error}): give another.") from error
    first = text.partition("\n")[0]
    command = first.removeprefix("# ") if first.startswith("# python") else ""
    return RunFiles(run, command, config, text, rows, records, test, facts, data)


def _json(path: Path) -> dict[str, Any]:
    if not path.is_file():
        return {}
    found = json.loads(path.read_text(encoding="utf-8"))
    if not isinstance(found, dict):
        raise ValueError(f"{path.name} is no record")
    return found
