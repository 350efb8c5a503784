"""What W&B shows of one evaluation: charts, tables and single figures out of its record, and nothing computed anew."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

SHOWN_CLASSES = 10  # curves in one chart
MATRIX_CLASSES = 50  # rows of a confusion matrix
MISTAKE_WORDS = 10
TABLE_ROWS = 10_000  # what W&B shows of a table


def figures(record: dict[str, Any]) -> dict[str, float]:
    """The single numbers of a record that the modules do not log themselves, to be drawn over the training.

    Args:
        record: An evaluation's record.

    Returns:
        Values by name, such as `val/ece`, `val/f1/pos` and `val/top1/word`.
    """
    stage = record["stage"]
    values: dict[str, Any] = {f"{stage}/{name}": record["metrics"].get(name) for name in ("ece", "brier")}
    for row in record.get("by_class", [])[:SHOWN_CLASSES]:
        for name in ("f1", "precision", "recall"):
            values[f"{stage}/{name}/{row['label']}"] = row[name]
    for name in ("ece_after", "temperature"):
        values[f"{stage}/calibration/{name}"] = (record.get("calibration") or {}).get(name)
    rows = [(span(row), row) for row in record.get("by_frequency", [])]
    rows += list(record.get("by_piece", {}).items())
    for label, row in rows:
        for name in ("top1", "loss"):
            values[f"{stage}/{name}/{label}"] = row[name]
    return {name: value for name, value in values.items() if value is not None}


def charts(record: dict[str, Any]) -> dict[str, Any]:
    """The charts and tables of a record, but for the probes, which grow from record to record.

    Args:
        record: An evaluation's record.

    Returns:
        Objects of W&B by name; what the record lacks is left out.
    """
    made = _classification(record) if record["task"] == "classification" else _mlm(record)
    return {f"{record['stage']}/{name}": chart for name, chart in made.items() if chart is not None}


def probe_rows(record: dict[str, Any]) -> list[list[Any]]:
    """A record's rows of the table of probes: step, text, which mask, and the fillings with their probabilities."""
    return [
        [record["step"], probe["text"], number, "  ".join(f"{f['token']} {f['probability']:.3f}" for f in fillings)]
        for probe in record.get("probes", [])
        for number, fillings in enumerate(probe["fillings"], 1)
    ]


def probe_table(rows: list[list[Any]]) -> Any:
    """The table of probes, the newest fillings last."""
    return table(["step", "text", "mask", "fillings"], rows[-TABLE_ROWS:])


def earlier_probe_rows(run_dir: Path, step: int) -> list[list[Any]]:
    """The rows of the probes' table from the records of the evaluations before a step."""
    records = [json.loads(path.read_text(encoding="utf-8")) for path in sorted(run_dir.glob("evaluation/val-*.json"))]
    return [row for record in records if record["step"] < step for row in probe_rows(record)]


def keep_tables_in_run(run: Any, logged: dict[str, Any]) -> None:
    """Keep W&B from making an artifact of each table: a table that is bound already is a file of the run alone.

    To log an artifact, W&B asks the server and waits, without end where it is away. Those of an offline run lie in the
    home folder, by absolute paths that the run's file names, and are lost when the run is sent from another machine.

    Args:
        run: W&B's run.
        logged: What is to be logged; tables and charts are prepared in place.
    """
    from wandb import Table
    from wandb.plot import CustomChart

    for name, value in logged.items():
        if isinstance(value, CustomChart):
            value.set_key(name)
            value.table.bind_to_run(run, value.spec.table_key, run.step)
        elif isinstance(value, Table):
            value.bind_to_run(run, name, run.step)


def table(columns: list[str], rows: list[list[Any]]) -> Any:
    """A table of W&B."""
    import wandb

    return wandb.Table(columns=columns, data=rows)


def span(row: dict[str, Any]) -> str:
    """A bin's range in words."""
    low, high = row["low"], row.get("high")
    return f"{low}+" if high is None else f"{low}-{high}" if high != low else f"{low}"


def _classification(record: dict[str, Any]) -> dict[str, Any]:
    by_class = record.get("by_class", [])
    return {
        "confusion_matrix": _confusion(record["labels"], record["confusion"]),
        "precision_recall": _areas(by_class, "pr", "recall", "precision", "Precision and recall"),
        "roc": _areas(by_class, "roc", "fpr", "tpr", "ROC"),
        "reliability": _reliability(record),
        "accuracy_by_length": _bars(
            "tokens", [[span(row), row["accuracy"]] for row in record.get("by_length", [])], "Accuracy by length"
        ),
        "by_class": _by_class(by_class),
        "mistakes": _mistakes(record.get("mistakes")),
    }


def _mlm(record: dict[str, Any]) -> dict[str, Any]:
    frequencies = [[span(row), row["top1"]] for row in record.get("by_frequency", [])]
    pieces = [[name, row["top1"]] for name, row in record.get("by_piece", {}).items()]
    return {
        "top1_by_frequency": _bars("count in train", frequencies, "Top-1 accuracy by the token's count in train"),
        "top1_by_piece": _bars("piece", pieces, "Top-1 accuracy of words and subwords"),
    }


def _confusion(labels: list[str], counts: list[list[int]]) -> Any:
    """The matrix of the classes with the most mistakes, in the labels' order."""
    import wandb

    classes = range(len(labels))
    wrong = {i: sum(counts[i]) + sum(row[i] for row in counts) - 2 * counts[i][i] for i in classes}
    kept = sorted(sorted(classes, key=lambda i: -wrong[i])[:MATRIX_CLASSES])
    columns = ["Actual", "Predicted", "nPredictions"]
    return wandb.plot_table(
        vega_spec_name="wandb/confusion_matrix/v1",
        data_table=table(columns, [[labels[i], labels[j], counts[i][j]] for i in kept for j in kept]),
        fields={name: name for name in columns},
        string_fields={"title": "Confusion matrix"},
    )


def _areas(by_class: list[dict[str, Any]], curve: str, x: str, y: str, title: str) -> Any:
    """One curve a class, as W&B's own `pr_curve` and `roc_curve` draw them; those two want scikit-learn."""
    import wandb

    rows = [
        [row["label"], x_value, y_value]
        for row in by_class[:SHOWN_CLASSES]
        if row.get(curve)
        for x_value, y_value in zip(row[curve][x], row[curve][y], strict=True)
    ]
    if not rows:
        return None
    return wandb.plot_table(
        vega_spec_name="wandb/area-under-curve/v0",
        data_table=table(["class", x, y], rows),
        fields={"x": x, "y": y, "class": "class"},
        string_fields={"title": title, "x-axis-title": x, "y-axis-title": y},
    )


def _reliability(record: dict[str, Any]) -> Any:
    import wandb

    bins = record.get("reliability", [])
    if not bins:
        return None
    series = {f"model, ECE {record['metrics']['ece']:.4f}": bins}
    if record.get("reliability_calibrated") and record.get("calibration"):
        error = record["calibration"]["ece_after"]
        series[f"after temperature scaling, ECE {error:.4f}"] = record["reliability_calibrated"]
    rows = [[place["confidence"], place["accuracy"], name] for name, places in series.items() for place in places]
    rows += [[end, end, "perfect"] for end in (0.0, 1.0)]
    data = table(["confidence", "accuracy", "series"], rows)
    return wandb.plot.line(data, "confidence", "accuracy", stroke="series", title="Reliability")


def _bars(label: str, rows: list[list[Any]], title: str) -> Any:
    import wandb

    rows = [row for row in rows if row[1] is not None]
    return wandb.plot.bar(table([label, "accuracy"], rows), label, "accuracy", title=title) if rows else None


def _by_class(by_class: list[dict[str, Any]]) -> Any:
    figures = ("label", "support", "precision", "recall", "f1", "average_precision", "auc")
    chosen = [("best_f1", "threshold"), ("best_f1", "f1")]
    chosen += [("wanted", name) for name in ("precision", "threshold", "recall")]
    columns = [*figures, *(f"{place} {name}" for place, name in chosen)]
    rows = [
        [*(row.get(name) for name in figures), *((row.get(place) or {}).get(name) for place, name in chosen)]
        for row in by_class
    ]
    return table(columns, rows) if rows else None


def _mistakes(mistakes: list[dict[str, Any]] | None) -> Any:
    if mistakes is None:
        return None
    columns = ["text", "label", "prediction", "probability", "row"]
    rows = [[*(mistake[name] for name in columns), _driving_words(mistake)] for mistake in mistakes]
    return table([*columns, "words"], rows)


def _driving_words(mistake: dict[str, Any]) -> str:
    """The words that drove the prediction, the strongest first."""
    words = sorted(mistake.get("words") or [], key=lambda word: -abs(word[1]))[:MISTAKE_WORDS]
    return ", ".join(f"{word} {score:+.2f}" for word, score in words)
