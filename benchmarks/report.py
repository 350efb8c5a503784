"""Results of the contenders into medians, ranges, ratios, a markdown table. No torch, no training."""

from __future__ import annotations

from collections.abc import Sequence
from statistics import median
from typing import Any, NamedTuple

NAMES = {
    "a": "HF Trainer, the recipe as written",
    "b": "HF Trainer, its best flags",
    "c": "HF Trainer, best flags, our attention dropout and tokens a step",
    "d": "lightning_nlp, default configuration",
}
# How many times as fast as a, b and c the default configuration is meant to be.
GOALS = {
    ("mlm", "cpu"): {"a": 8.0, "b": 2.0, "c": 1.7},
    ("cls", "cpu"): {"a": 8.0, "b": 3.5, "c": 1.15},
    ("mlm", "cuda"): {"a": 10.0, "b": 2.0, "c": 1.5},
    ("cls", "cuda"): {"a": 10.0, "b": 2.0, "c": 1.5},
}


class Spread(NamedTuple):
    """A median and the range that it comes from."""

    median: float
    low: float
    high: float

    def text(self, digits: int = 0) -> str:
        """`1,234 (1,200 to 1,300)`, or the number alone where there was one repeat."""
        middle, low, high = (f"{value:,.{digits}f}" for value in self)
        return middle if self.low == self.high else f"{middle} ({low} to {high})"


def spread(values: Sequence[float]) -> Spread:
    """The median and range of at least one value."""
    return Spread(median(values), min(values), max(values))


def loss_at(results: Sequence[dict[str, Any]], tokens: float) -> float | None:
    """The training loss about a number of tokens, the mean over repeats; None where a run was shorter.

    It is the mean from half of the tokens to all of them, since a step's loss is that of one random batch.
    """
    means = []
    for result in results:
        if result["tokens"] < tokens:
            return None
        seen, total = 0.0, 0.0
        for step_tokens, loss in zip(result["step_tokens"], result["losses"], strict=True):
            inside = min(seen + step_tokens, tokens) - max(seen, tokens / 2)
            total += max(inside, 0.0) * loss
            seen += step_tokens
        means.append(total / (tokens / 2))
    return sum(means) / len(means)


def summarise(results: Sequence[dict[str, Any]], *, task: str, device: str, peak_flops: float | None) -> dict[str, Any]:
    """Medians and ranges by contender, and how many times as fast ours is.

    Args:
        results: What the yardstick wrote, each with its `round`.
        task: "mlm" or "cls".
        device: "cpu" or "cuda".
        peak_flops: Of the device, in the precision of b, c and d; None, where it is not known, leaves out the MFU.
    """
    by_letter: dict[str, list[dict[str, Any]]] = {}
    for result in results:
        by_letter.setdefault(result["contender"], []).append(result)
    # The recipe runs for a few steps only; the others are compared after the tokens that each of them has seen.
    others = [result["tokens"] for result in results if result["contender"] != "a"]
    equal_tokens = min(others or [result["tokens"] for result in results])
    contenders = {}
    for letter, runs in sorted(by_letter.items()):
        speeds = [run["tokens"] / run["seconds"] for run in runs]
        contenders[letter] = {
            "name": NAMES[letter],
            "repeats": len(runs),
            "steps": runs[0]["steps"],
            "batch_size": runs[0].get("batch_size"),
            "tokens_per_s": spread(speeds),
            "step_ms": spread([1000 * run["seconds"] / run["steps"] for run in runs]),
            "tokens_per_step": spread([run["tokens"] / run["steps"] for run in runs]),
            "peak_gib": spread([run["peak_memory"] / 2**30 for run in runs]),
            "mfu": spread([run["flops"] / run["seconds"] / peak_flops for run in runs]) if peak_flops else None,
            "loss": loss_at(runs, equal_tokens),
        }
    ratios = {}
    rounds = {
        letter: {run["round"]: run["tokens"] / run["seconds"] for run in runs} for letter, runs in by_letter.items()
    }
    for letter in sorted(set(by_letter) - {"d"}) if "d" in by_letter else []:
        shared = sorted(rounds["d"].keys() & rounds[letter].keys())
        ratio = spread([rounds["d"][i] / rounds[letter][i] for i in shared])
        goal = GOALS[task, device][letter]
        ratios[letter] = {"ratio": ratio, "goal": goal, "met": ratio.median >= goal}
    return {"contenders": contenders, "ratios": ratios, "equal_tokens": equal_tokens}


def markdown(summary: dict[str, Any], *, goals: bool = True) -> str:
    """Two tables: the contenders, and ours against each; with or without the goals, which are for real sizes."""
    tokens = f"{summary['equal_tokens']:,.0f}"
    lines = [
        f"| contender | real tokens/s | ms a step | tokens a step | peak GiB | MFU | train loss at {tokens} tokens |",
        "| --- | --- | --- | --- | --- | --- | --- |",
    ]
    for letter, row in summary["contenders"].items():
        mfu = "not known" if row["mfu"] is None else f"{100 * row['mfu'].median:.1f}%"
        mfu = "peak not measurable" if row["mfu"] is not None and row["mfu"].median > 1 else mfu
        loss = "–" if row["loss"] is None else f"{row['loss']:.3f}"
        cells = [row["tokens_per_s"].text(), row["step_ms"].text(), f"{row['tokens_per_step'].median:,.0f}"]
        lines.append(f"| {letter}. {row['name']} | {' | '.join(cells)} | {row['peak_gib'].text(2)} | {mfu} | {loss} |")
    if summary["ratios"]:
        lines += ["", "| ratio | median (range of the rounds) | goal |", "| --- | --- | --- |"]
        for letter, row in summary["ratios"].items():
            goal = f"{row['goal']:g}: {'met' if row['met'] else '**missed**'}" if goals else "–"
            lines.append(f"| d / {letter} | {row['ratio'].text(2)} | {goal} |")
    return "\n".join(lines) + "\n"


def summarise_until(results: Sequence[dict[str, Any]], metric: str, value: float) -> dict[str, Any]:
    """When each contender reached a held-out loss (from above) or accuracy (from below); None where one did not."""
    summary: dict[str, Any] = {}
    for letter in sorted({result["contender"] for result in results}):
        curves = [result["curve"] for result in results if result["contender"] == letter]
        hits = [
            next((p for p in curve if (p["value"] <= value if metric == "loss" else p["value"] >= value)), None)
            for curve in curves
        ]
        values = [point["value"] for curve in curves for point in curve]
        reached = [hit for hit in hits if hit is not None]
        everyone = len(reached) == len(hits)
        summary[letter] = {
            "repeats": len(curves),
            "reached": len(reached),
            "seconds": spread([hit["seconds"] for hit in reached]) if everyone else None,
            "tokens": spread([hit["tokens"] for hit in reached]) if everyone else None,
            "best": (min if metric == "loss" else max)(values) if values else None,
        }
    return summary


def markdown_until(summary: dict[str, Any], metric: str, value: float) -> str:
    """The time that each contender took."""
    lines = [f"| contender | seconds to {metric} {value:g} | tokens | best seen |", "| --- | --- | --- | --- |"]
    for letter, row in summary.items():
        missed = f"not reached in {row['repeats'] - row['reached']} of {row['repeats']}"
        seconds, tokens = (missed if row[key] is None else row[key].text() for key in ("seconds", "tokens"))
        best = "–" if row["best"] is None else f"{row['best']:.4f}"
        lines.append(f"| {letter}. {NAMES[letter]} | {seconds} | {tokens} | {best} |")
    return "\n".join(lines) + "\n"
