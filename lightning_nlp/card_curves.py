"""The picture beside a classifier's model card: precision and recall, ROC, and reliability."""

from __future__ import annotations

from pathlib import Path
from typing import Any

# Colours that people who see few of them can tell apart (Okabe and Ito 2008), and lines for those who see none.
COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9")
FEWEST = 50
LINES = ("-", "--", "-.", ":")


def draw_curves(record: dict[str, Any], folder: Path, *, calibrated: bool = False) -> str | None:
    """Draw a record's curves into `folder/curves.png`.

    Args:
        record: The evaluation of a split.
        calibrated: Whether the export's probabilities are.
        folder: Where to write.

    Returns:
        The file's name; None for a record without curves, or of so few texts that they would say nothing.
    """
    # of the most frequent classes; more lines would hide each other
    classes = sorted(record.get("by_class", ()), key=lambda part: -part["support"])[: len(COLOURS)]
    if not any(part.get("pr") for part in classes) or record["examples"] < FEWEST:
        return None
    from matplotlib.figure import Figure

    figure = Figure(figsize=(12, 4.2), dpi=100, facecolor="white")
    figure.subplots_adjust(left=0.05, right=0.985, bottom=0.13, top=0.91, wspace=0.2)
    precision, roc, reliability = figure.subplots(1, 3)
    for i, part in enumerate(classes):
        if part.get("pr") is None:
            continue
        style: dict[str, Any] = {"color": COLOURS[i], "linestyle": LINES[i % len(LINES)], "linewidth": 1.8}
        name = _short(part["label"])
        precision.plot(
            part["pr"]["recall"],
            part["pr"]["precision"],
            label=f"{name}, area {part['average_precision']:.3f}",
            **style,
        )
        roc.plot(part["roc"]["fpr"], part["roc"]["tpr"], label=f"{name}, area {part['auc']:.3f}", **style)
    bins = record["reliability_calibrated" if calibrated else "reliability"]
    low, accuracy = [part["low"] for part in bins], [part["accuracy"] for part in bins]
    reliability.bar(low, accuracy, 1 / 16, align="edge", color="#56B4E9", label="accuracy")
    for part in bins:  # a bar of three texts is no finding
        reliability.text(part["low"] + 1 / 32, part["accuracy"], part["examples"], ha="center", va="bottom", fontsize=7)
    reliability.plot([0, 1], [0, 1], color="0.4", linestyle="--", linewidth=1, label="as stated")
    if calibrated:
        dots = [[part[name] for part in record["reliability"]] for name in ("confidence", "accuracy")]
        reliability.plot(*dots, "o", color="#D55E00", fillstyle="none", markersize=4, label="before calibration")
    error = record["calibration"]["ece_after"] if calibrated else record["metrics"]["ece"]
    roc.plot([0, 1], [0, 1], color="0.6", linestyle=":", linewidth=1)
    for axes, place, title, across, up in (
        (precision, "lower left", "Precision and recall", "recall", "precision"),
        (roc, "lower right", "ROC", "false positive rate", "true positive rate"),
        (reliability, "upper left", f"Reliability, calibration error {error:.3f}", "confidence", "accuracy"),
    ):
        axes.set(title=title, xlabel=across, ylabel=up, xlim=(-0.02, 1.02), ylim=(-0.02, 1.06))
        axes.grid(alpha=0.3)
        axes.legend(loc=place, fontsize=8)
    figure.savefig(folder / "curves.png", metadata={"Software": None})
    return "curves.png"


def _short(label: str) -> str:
    """A label that cannot be taken for a formula, nor fill the picture."""
    line = " ".join(str(label).split()).replace("$", r"\$")
    return line if len(line) <= 24 else f"{line[:23]}…"
