"""The figures of a report: each a chart, and the same in a sentence."""

from __future__ import annotations

from typing import Any, NamedTuple

from lightning_nlp.report import drawing
from lightning_nlp.report.drawing import Bar, Dot, Line
from lightning_nlp.report.files import RunFiles

MOST_CURVES = 4  # in one chart

# What a validation measures, chart by chart: its heading, and the metrics in it.
VALIDATION = (
    ("Accuracy", ("accuracy", "f1")),
    ("Perplexity", ("perplexity",)),
    ("Bits per character", ("bits_per_char",)),
    ("Accuracy on masked tokens", ("top1", "top5")),
)


class Figure(NamedTuple):
    """A chart with a heading and a sentence that says what it shows."""

    heading: str
    svg: str
    text: str


def learning(run: RunFiles, monitor: str | None) -> list[Figure]:
    """Losses, what the validations measured, and the learning rate, by step.

    Args:
        run: The run.
        monitor: The metric that the checkpoint is chosen by.
    """
    found = []
    best = best_step(run, monitor)
    mark = None if best is None else (float(best), "best")
    lines = [Line(name, *run.series(key)) for name, key in (("train", "train/loss"), ("validation", "val/loss"))]
    lines = [line for line in lines if line.x]
    if lines:
        parts = [
            f"{line.name} "
            + (f"from {line.y[0]:.3f} at step {line.x[0]:,.0f} to " if len(line.x) > 1 else "")
            + f"{line.y[-1]:.3f} at step {line.x[-1]:,.0f}"
            for line in lines
        ]
        text = f"{'; '.join(parts)}. The training loss is that of single batches."
        text += f" The dashed line marks the best checkpoint, step {best:,}." if best is not None else ""
        svg = drawing.plot("loss", "Loss by step", "step", "loss", lines=lines, mark=mark)
        found.append(Figure("Loss", svg, text[0].upper() + text[1:]))
    charts = [(heading, [f"val/{name}" for name in names]) for heading, names in VALIDATION]
    known = {"val/loss", *(name for _, names in charts for name in names)}
    if monitor and monitor not in known:
        charts.insert(0, (monitor, [monitor]))
    for number, (heading, names) in enumerate(charts):
        lines = [Line(name.removeprefix("val/").replace("_", " "), *run.series(name)) for name in names]
        lines = [line for line in lines if len(line.x) > 1]
        if not lines:
            continue  # a single validation stands in the table below
        choose = max if names[0].endswith(("accuracy", "f1", "top1", "precision", "recall")) else min
        text = "; ".join(
            f"{line.name}: best {choose(line.y):.4f} at step {line.x[line.y.index(choose(line.y))]:,.0f}, last "
            f"{line.y[-1]:.4f}"
            for line in lines
        )
        svg = drawing.plot(
            f"val-{number}", f"{heading} on validation by step", "step", heading.lower(), lines=lines, mark=mark
        )
        found.append(Figure(f"{heading} on validation", svg, f"{text[0].upper()}{text[1:]}."))
    x, y = run.series("train/lr")
    if x:
        svg = drawing.plot("lr", "Learning rate by step", "step", "learning rate", lines=[Line("lr", x, y)])
        found.append(Figure("Learning rate", svg, f"Highest {max(y):.2g}, last {y[-1]:.2g}."))
    return found


def curves(record: dict[str, Any]) -> list[Figure]:
    """Precision and recall, ROC, reliability, and accuracy by length.

    Args:
        record: Of a classifier's evaluation.
    """
    found = []
    classes = sorted((part for part in record["by_class"] if part.get("pr")), key=lambda part: -part["support"])
    shown = classes[:MOST_CURVES]
    where = "" if len(classes) == len(shown) else f" Shown are the {len(shown)} largest of {len(classes)} classes."
    if shown:
        found.append(_precision_recall(shown, where))
        lines = [Line(_short(part["label"]), part["roc"]["fpr"], part["roc"]["tpr"]) for part in shown]
        areas = ", ".join(f"{part['label']} {part['auc']:.4f}" for part in shown)
        svg = drawing.plot(
            "roc", "ROC", "false positive rate", "true positive rate", lines=lines, square=True, diagonal=True
        )
        text = f"Area under the curve: {areas}; the dashed line is chance, 0.5.{where}"
        found.append(Figure("ROC", svg, text))
    if record["reliability"]:
        found.append(_reliability(record))
    if record["by_length"]:
        groups = record["by_length"]
        named = [
            (_between(part), part["accuracy"], f"{part['accuracy']:.1%} of {part['examples']:,}") for part in groups
        ]
        worst = min(groups, key=lambda part: part["accuracy"])
        best = max(groups, key=lambda part: part["accuracy"])
        text = (
            f"By the number of tokens. Lowest, {worst['accuracy']:.1%}, for texts of {_between(worst)} tokens "
            f"({worst['examples']:,} texts); highest, {best['accuracy']:.1%}, for {_between(best)}."
        )
        found.append(Figure("Accuracy by length", drawing.rows("length", "Accuracy by length in tokens", named), text))
    return found


def _precision_recall(classes: list[dict[str, Any]], where: str) -> Figure:
    lines = [Line(_short(part["label"]), part["pr"]["recall"], part["pr"]["precision"]) for part in classes]
    dots = [
        Dot(number, part[name]["recall"], part[name]["precision"], shape)
        for number, part in enumerate(classes)
        for name, shape in (("best_f1", "circle"), ("wanted", "diamond"))
        if part.get(name)
    ]
    areas = ", ".join(f"{part['label']} {part['average_precision']:.4f}" for part in classes)
    svg = drawing.plot("pr", "Precision and recall", "recall", "precision", lines=lines, dots=dots, square=True)
    text = f"Average precision: {areas}. Circle: the threshold that was best for F1 on validation"
    text += "; diamond: the one for a wanted precision" if any(dot.shape == "diamond" for dot in dots) else ""
    return Figure("Precision and recall", svg, f"{text}.{where}")


def _reliability(record: dict[str, Any]) -> Figure:
    bins = record.get("reliability_calibrated") or record["reliability"]
    bars = [Bar(part["low"], part["high"], part["accuracy"]) for part in bins]
    svg = drawing.plot("reliability", "Reliability", "confidence", "accuracy", bars=bars, square=True, diagonal=True)
    text = f"Expected calibration error {record['metrics']['ece']:.4f}"
    if record.get("calibration"):
        found = record["calibration"]
        text = (
            f"Expected calibration error {found['ece_after']:.4f} after temperature scaling (T = "
            f"{found['temperature']:.3f}, fitted on validation), {found['ece_before']:.4f} before"
        )
    most = max(bins, key=lambda part: part["examples"])
    text += (
        f". Of {most['examples']:,} texts predicted with a confidence of {most['low']:.0%} to {most['high']:.0%}, "
        f"{most['accuracy']:.1%} were right. A bar that ends on the dashed line says what it means."
    )
    return Figure("Reliability", svg, text)


def language_model(record: dict[str, Any]) -> list[Figure]:
    """Accuracy by a token's frequency in train, and on words and their continuations.

    Args:
        record: Of a masked language model's evaluation.
    """
    found = []
    groups = record["by_frequency"]
    if groups:
        named = [(_between(part), part["top1"], f"{part['top1']:.1%} of {part['tokens']:,}") for part in groups]
        text = "The rarest tokens in train are first: " + "; ".join(f"{a} times {c}" for a, _, c in named)
        svg = drawing.rows("frequency", "Top-1 accuracy by a token's frequency in train", named)
        found.append(Figure("By frequency in train", svg, f"{text} guessed at once."))
    pieces = record["by_piece"]
    if pieces:
        named = [(name, part["top1"], f"{part['top1']:.1%} of {part['tokens']:,}") for name, part in pieces.items()]
        text = "; ".join(
            f"{a}: {c}, top-5 {part['top5']:.1%}" for (a, _, c), part in zip(named, pieces.values(), strict=True)
        )
        svg = drawing.rows("pieces", "Top-1 accuracy on words and subwords", named)
        found.append(Figure("Words and subwords", svg, f"{text[0].upper()}{text[1:]}. A subword continues a word."))
    return found


def machine(run: RunFiles) -> list[Figure]:
    """Speed and memory by step.

    Args:
        run: The run.
    """
    found = []
    for key, heading, up, scale in (
        ("perf/tokens_per_s", "Speed", "tokens/s", 1.0),
        ("perf/peak_memory_gib", "Memory", "GiB at the peak", 1.0),
        ("perf/data_wait", "Waiting for data", "% of the time", 100.0),
        ("perf/mfu", "Use of the arithmetic", "% of the peak", 100.0),
    ):
        x, y = run.series(key)
        if not x:
            continue
        y = [scale * value for value in y]
        svg = drawing.plot(key.replace("/", "-"), f"{heading} by step", "step", up, lines=[Line(heading, x, y)])
        middle = sorted(y)[len(y) // 2]
        values = [f"{value:,.0f}" if value >= 100 else f"{value:.2f}" for value in (middle, min(y), max(y))]
        found.append(Figure(heading, svg, f"Median {values[0]} {up}, from {values[1]} to {values[2]}."))
    return found


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
    top = max(range(len(counts)), key=counts.__getitem__)
    text = f"Most texts of train have {edges[top]} to {edges[top + 1] - 1} tokens ({counts[top]:,} of {sum(counts):,})."
    svg = drawing.plot("lengths", "Lengths of the texts of train in tokens", "tokens", "texts", bars=bars)
    return [Figure("Length of the texts", svg, text)]


def best_step(run: RunFiles, monitor: str | None) -> int | None:
    """The step with the best value of a metric, numbered from 1; the first of equal ones, as the checkpoint's."""
    if monitor is None:
        return None
    x, y = run.series(monitor)
    if not x:
        return None
    mode = run.config.get("checkpoint", {}).get("mode", "min")
    return int(x[y.index(max(y) if mode == "max" else min(y))])


def _between(group: dict[str, Any]) -> str:
    return f"{group['low']:,}" if group["low"] == group["high"] else f"{group['low']:,}–{group['high']:,}"


def _short(label: str) -> str:
    line = " ".join(str(label).split())
    return line if len(line) <= 20 else f"{line[:19]}…"
