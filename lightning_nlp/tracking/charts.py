"""Charts, tables and numbers of one evaluation for W&B, from its record."""

import json
from pathlib import Path
from typing import Any

import wandb

from lightning_nlp.evaluation.figures import Figure, figures_of

SHOWN_CLASSES = 10  # curves in one chart
MATRIX_CLASSES = 50  # rows of a confusion matrix
MISTAKE_WORDS = 10
TABLE_ROWS = 10_000  # the most that W&B shows of a table


def figures(record: dict[str, Any]) -> dict[str, float]:
    """The numbers of a record that the modules do not log, e.g. `val/ece` and `val/f1/pos`."""
    stage = record["stage"]
    values: dict[str, Any] = {f"{stage}/{name}": record["metrics"].get(name) for name in ("ece", "brier")}
    for row in record.get("by_class", [])[:SHOWN_CLASSES]:
        for name in ("f1", "precision", "recall"):
            values[f"{stage}/{name}/{row['label']}"] = row[name]
    for name in ("ece_after", "temperature"):
        values[f"{stage}/calibration/{name}"] = (record.get("calibration") or {}).get(name)
    groups = {f"{row['low']}-{row['high']}" if row["high"] else "0": row for row in record.get("by_frequency", [])}
    for label, row in (groups | record.get("by_piece", {})).items():
        for name in ("top1", "loss"):
            values[f"{stage}/{name}/{label}"] = row[name]
    return {name: value for name, value in values.items() if value is not None}


def charts(record: dict[str, Any]) -> dict[str, Any]:
    """The charts and tables of a record by name; the probes' table covers all records."""
    made = {figure.name: _chart(figure) for figure in figures_of(record, most=SHOWN_CLASSES)}
    if "confusion" in record:
        made["confusion_matrix"] = _confusion(record["labels"], record["confusion"])
    if "mistakes" in record:
        made["mistakes"] = _mistakes(record["mistakes"])
    return {f"{record['stage']}/{name}": chart for name, chart in made.items()}


def probe_table(run_dir: Path, step: int) -> Any:
    """The probes' fillings up to a step; later records stem from before a resume."""
    rows: list[list[Any]] = []
    for path in sorted(run_dir.glob("evaluation/val-*.json")):
        record = json.loads(path.read_text(encoding="utf-8"))
        for probe in record["probes"] if record["step"] <= step else ():
            for number, fillings in enumerate(probe["fillings"], 1):
                tokens = "  ".join(f"{filling['token']} {filling['probability']:.3f}" for filling in fillings)
                rows.append([record["step"], probe["text"], number, tokens])
    return wandb.Table(["step", "text", "mask", "fillings"], rows[-TABLE_ROWS:])


def keep_tables_in_run(run: Any, logged: dict[str, Any]) -> None:
    """Bind tables to the run, so that W&B does not turn them into artifacts.

    For these it would wait for the server without limit, and keep an offline run's in the home folder.
    """
    for name, value in logged.items():
        if isinstance(value, wandb.plot.CustomChart):
            value.set_key(name)
            value.table.bind_to_run(run, value.spec.table_key, run.step)
        elif isinstance(value, wandb.Table):
            value.bind_to_run(run, name, run.step)


def _chart(figure: Figure) -> Any:
    axes = [figure.across, figure.up]
    if figure.rows:
        data = wandb.Table(axes, [[row.name, row.share] for row in figure.rows])
        return wandb.plot.bar(data, *axes, title=figure.heading)
    rows: list[list[Any]] = [[x, y, line.name] for line in figure.lines for x, y in zip(line.x, line.y, strict=True)]
    if not figure.lines:
        return wandb.plot.scatter(wandb.Table(axes, [[dot.x, dot.y] for dot in figure.dots]), *axes, figure.heading)
    rows += [[end, end, figure.diagonal] for end in (0.0, 1.0) if figure.diagonal]
    return wandb.plot.line(wandb.Table([*axes, "series"], rows), *axes, stroke="series", title=figure.heading)


def _confusion(labels: list[str], counts: list[list[int]]) -> Any:
    """The matrix of the classes with the most mistakes, in the labels' order."""
    classes = range(len(labels))
    wrong = {i: sum(counts[i]) + sum(row[i] for row in counts) - 2 * counts[i][i] for i in classes}
    kept = sorted(sorted(classes, key=lambda i: -wrong[i])[:MATRIX_CLASSES])
    columns = ["Actual", "Predicted", "nPredictions"]
    return wandb.plot_table(
        vega_spec_name="wandb/confusion_matrix/v1",
        data_table=wandb.Table(columns, [[labels[i], labels[j], counts[i][j]] for i in kept for j in kept]),
        fields={name: name for name in columns},
        string_fields={"title": "Confusion matrix"},
    )


def _mistakes(mistakes: list[dict[str, Any]]) -> Any:
    table = wandb.Table(["text", "label", "prediction", "probability", "row", "words"])
    for mistake in mistakes:
        words = sorted(mistake["words"], key=lambda word: -abs(word[1]))[:MISTAKE_WORDS]
        named = ", ".join(f"{word} {score:+.2f}" for word, score in words)
        table.add_data(*(mistake[name] for name in table.columns[:-1]), named)
    return table
