"""The table at the end of a training."""

from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table
from rich.text import Text

from lightning_nlp.callbacks.progress import duration


def print_summary(run_dir: Path, facts: dict[str, Any]) -> None:
    """Print the results of a training."""
    rows = [(name, f"{value:.4f}") for name, value in facts["test"].items()]
    rows += [(f"best {name}", f"{value:.4f}") for name, value in facts["validation"].items()]
    rows += [
        *training_rows(facts),
        (f"checkpoint of step {facts['checkpoint_step']}", str(run_dir / facts["checkpoint"])),
        ("export", str(run_dir / "export")),
        ("report", str(run_dir / "report.html")),
    ]
    _print_table(run_dir.parent.name, rows)


def training_rows(facts: dict[str, Any]) -> list[tuple[str, str]]:
    """A training's data, cost and hardware; also shown on the run's page."""
    speed, mfu, memory = (facts[name] for name in ("tokens_per_s", "mfu", "peak_memory_gib"))
    return [
        *((f"{split} read", part) for split, part in facts.get("parts", {}).items()),
        ("training", f"{counted(facts['epochs'], 'epoch')}, {counted(facts['steps'], 'step')}"),
        ("time", duration(facts["seconds"]) + (f" since step {facts['since_step']}" if facts["since_step"] else "")),
        ("tokens/s", "too short to measure" if speed is None else f"{speed:,.0f}"),
        ("model FLOPs utilisation", "unknown" if mfu is None else f"{mfu:.1%}"),
        ("peak memory", "unknown" if memory is None else f"{memory:.2f} GiB"),
        ("hardware", f"{facts['hardware']}, {facts['precision']}"),
    ]


def print_metrics(title: str, metrics: dict[str, float]) -> None:
    """Print a table of metrics."""
    _print_table(title, [(name, f"{value:.4f}") for name, value in metrics.items()])


def counted(number: float, noun: str) -> str:
    """A number with its noun: "1 step", "1,234 steps"."""
    return f"{number:,} {noun}{'' if number == 1 else 's'}"


def _print_table(title: str, rows: list[tuple[str, str]]) -> None:
    # Text, because rich reads square brackets in a string, e.g. in a path, as markup
    console = Console()
    console.print(Text(title, style="italic"), soft_wrap=True)  # the table's own title would break a path
    table = Table(show_header=False)
    table.add_column(style="bold")
    table.add_column(justify="right", overflow="fold")
    for row in rows:
        table.add_row(*map(Text, row))
    console.print(table)
