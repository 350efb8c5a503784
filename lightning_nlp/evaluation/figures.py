"""The figures of an evaluation: points, axes and captions, shared by the report, the card and W&B."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

MOST_LINES = 4  # that can be told apart in one chart

# For each of a record's groups: the figure's name and heading, its axis, the share shown, and the unit counted.
GROUPS = {
    "by_length": ("accuracy_by_length", "Accuracy by length", "length in tokens", "accuracy", "examples"),
    "by_frequency": ("top1_by_frequency", "Accuracy by frequency in train", "count in train", "top1", "tokens"),
    "by_piece": ("top1_by_piece", "Accuracy on words and subwords", "piece", "top1", "tokens"),
}


class Line(NamedTuple):
    """A curve."""

    name: str
    x: Sequence[float]
    y: Sequence[float]


class Dot(NamedTuple):
    """A marked point of the curve with the number `series`; `shape` is circle or diamond."""

    series: int
    x: float
    y: float
    shape: str = "circle"
    size: float = 5.0


class Bar(NamedTuple):
    """A bar from x = `low` to `high`."""

    low: float
    high: float
    value: float


class Row(NamedTuple):
    """A share from 0 to 1, and what is written beside it."""

    name: str
    share: float
    note: str


@dataclass(frozen=True)
class Figure:
    """A chart, and its description in words."""

    name: str  # letters, dashes and underscores, unique on a page
    heading: str
    text: str  # what it shows, in sentences with numbers
    across: str  # what x is, or what the rows are
    up: str  # what y is, or what the shares are
    lines: Sequence[Line] = ()  # the first `MOST_LINES` are drawn
    dots: Sequence[Dot] = ()
    bars: Sequence[Bar] = ()
    rows: Sequence[Row] = ()  # if not empty, the chart has no axes
    best: float | None = None  # the x to mark as the best
    square: bool = False  # both axes go from 0 to 1
    diagonal: str = ""  # what the line x = y means


def figures_of(record: dict[str, Any], most: int = MOST_LINES) -> list[Figure]:
    """All charts for which a record has numbers, with curves of at most `most` classes."""
    classes = sorted((part for part in record.get("by_class", ()) if part.get("pr")), key=lambda part: -part["support"])
    curves = _class_curves(classes[:most], len(classes)) if classes else []
    if record.get("reliability"):
        curves.append(_reliability(record))
    if scatter := record.get("scatter"):
        dots = [Dot(0, x, y, size=2.2) for x, y in zip(scatter["label"], scatter["prediction"], strict=True)]
        text, line = f"{len(dots):,} texts; on the dashed line the prediction is the label.", "prediction = label"
        heading, axes = "Predictions and labels", ("label", "prediction")
        curves.append(Figure("scatter", heading, text, *axes, dots=dots, diagonal=line))
    for key, (name, heading, across, share, unit) in GROUPS.items():
        if groups := record.get(key):
            named = groups.items() if isinstance(groups, dict) else [(_range(group), group) for group in groups]
            rows = [Row(label, group[share], f"{group[share]:.1%} of {group[unit]:,}") for label, group in named]
            low, high = (choose(rows, key=lambda row: row.share) for choose in (min, max))
            text = f"Lowest where the {across} is {low.name}: {low.note} {unit} right; "
            text += f"highest where it is {high.name}: {high.note}."
            curves.append(Figure(name, heading, text, across, "accuracy", rows=rows))
    return curves


def _class_curves(classes: list[dict[str, Any]], of: int) -> list[Figure]:
    where = "" if of == len(classes) else f" Shown are the {len(classes)} largest of {of} classes."
    dots = [
        Dot(number, part[name]["recall"], part[name]["precision"], shape)
        for number, part in enumerate(classes)
        for name, shape in (("best_f1", "circle"), ("wanted", "diamond"))
        if part.get(name)
    ]
    areas = {
        name: ", ".join(f"{part['label']} {part[name]:.4f}" for part in classes)
        for name in ("average_precision", "auc")
    }
    precisions = f"Average precision: {areas['average_precision']}.{where}"
    if dots:
        precisions += " Circle: the threshold with the best F1 on validation; diamond: the one "
        precisions += "for the wanted precision, if it was reached."
    rates = f"Area under the curve: {areas['auc']}; the dashed line is chance, 0.5.{where}"
    curves = [Line(part["label"], part["pr"]["recall"], part["pr"]["precision"]) for part in classes]
    roc = [Line(part["label"], part["roc"]["fpr"], part["roc"]["tpr"]) for part in classes]
    name, heading, axes = "precision_recall", "Precision and recall", ("false positive rate", "true positive rate")
    return [
        Figure(name, heading, precisions, "recall", "precision", lines=curves, dots=dots, square=True),
        Figure("roc", "ROC", rates, *axes, lines=roc, square=True, diagonal="chance"),
    ]


def _reliability(record: dict[str, Any]) -> Figure:
    """Accuracy by confidence, before and after calibration."""
    series, text = {"network": record["reliability"]}, f"Expected calibration error {record['metrics']['ece']:.4f}"
    calibration = record.get("calibration")
    if calibration and calibration["temperature"] != 1:
        series["calibrated"] = record["reliability_calibrated"]
        text = (
            f"Expected calibration error {calibration['ece_after']:.4f} after temperature scaling (T = "
            f"{calibration['temperature']:.3f}, fitted on validation), {calibration['ece_before']:.4f} before"
        )
    lines, dots = [], []
    for number, (name, bins) in enumerate(series.items()):
        lines.append(Line(name, [part["confidence"] for part in bins], [part["accuracy"] for part in bins]))
        most = max(bins, key=lambda part: part["examples"])
        for part in bins:  # sized by area: a point of three texts means little
            size = max(2.0, 8 * math.sqrt(part["examples"] / most["examples"]))
            dots.append(Dot(number, part["confidence"], part["accuracy"], size=size))
    text += (
        f". Of {most['examples']:,} texts predicted with a confidence of {most['low']:.0%} to {most['high']:.0%}, "
        f"{most['accuracy']:.1%} were right. The more texts, the larger the point; on the dashed line, confidence "
        "equals accuracy."
    )
    axes = ("confidence", "accuracy")
    return Figure("reliability", "Reliability", text, *axes, lines=lines, dots=dots, square=True, diagonal="perfect")


def _range(group: dict[str, Any]) -> str:
    return f"{group['low']:,}" if group["low"] == group["high"] else f"{group['low']:,}–{group['high']:,}"
