"""The page of a run, or of a comparison of runs: the values for their templates."""

import math
from pathlib import Path
from typing import Any

from lightning_nlp.atomic_files import write_whole
from lightning_nlp.errors import UserError
from lightning_nlp.evaluation.drawing import STYLE, draw
from lightning_nlp.evaluation.figures import figures_of
from lightning_nlp.privacy import home_as_tilde
from lightning_nlp.report import run_figures
from lightning_nlp.report.compare import comparison
from lightning_nlp.report.run_files import RunFiles, read_run
from lightning_nlp.report.summary import training_rows
from lightning_nlp.tasks import CLASSIFICATION, Task

NAME = "report.html"
MOST_ROWS = 12  # of a table over time
MOST_WORDS = 400  # shown of a mistake's text
STRENGTHS = 4  # of the mark on a word
MOST_CLASSES, MOST_CONFUSED = 12, 20  # in a confusion matrix; pairs shown instead of a larger one


def write_report(*paths: str | Path, output: Path | None = None) -> Path:
    """Write a run's page (default: report.html in its directory), or for several runs comparison.html here.

    Raises:
        UserError: If a path is not a run or is given twice, or the page cannot be written.
    """
    runs = [read_run(path) for path in paths]
    if len({run.path.resolve() for run in runs}) < len(runs):
        raise UserError(f"{' '.join(map(str, paths))} names a run twice: give each run once.")
    if len(runs) == 1:
        target, text = output or runs[0].path / NAME, _rendered("page.html.j2", page(runs[0]))
    else:
        target, text = output or Path("comparison.html"), _rendered("compare.html.j2", comparison(runs))
    try:
        write_whole(target, home_as_tilde(text))
    except OSError as error:
        raise UserError(f"{target} cannot be written ({error.strerror}): give another --output.") from error
    return target


def page(run: RunFiles) -> dict[str, Any]:
    """The values for the page of one run."""
    monitor = run.config.get("checkpoint", {}).get("monitor")
    record, task = run.record, run.task or CLASSIFICATION
    labels, counts = (record.get(name, []) for name in ("labels", "confusion"))
    matrix = list(zip(labels, counts, strict=True)) if counts else []
    return {
        "run": run,
        "data": run.data,
        "task": task,
        "record": record,
        "headline": headline(run, record, task),
        "summary": summary(run),
        "metrics": sorted(record.get("metrics", {}).items()),
        "stage": {"test": "test", "val": "the last validation"}.get(record.get("stage", ""), ""),
        "learning": run_figures.learning(run, monitor),
        "curves": figures_of(record),
        "thresholds": any(part.get("best_f1") or part.get("wanted") for part in record.get("by_class", ())),
        "confusion": matrix if len(matrix) <= MOST_CLASSES else [],
        "confused": confused(matrix) if len(matrix) > MOST_CLASSES else [],
        "mistakes": [mistake(entry) for entry in run.test.get("mistakes", [])],
        "probes": probes(run),
        "machine": run_figures.measured(run),
        "lengths": run_figures.lengths(run.data),
    }


def headline(run: RunFiles, record: dict[str, Any], task: Task) -> dict[str, str] | None:
    """The headline result, with its uncertainty, from the record of the test or a validation."""
    metrics = record.get("metrics", {})
    name = next((name for name in task.headlines if metrics.get(name) is not None), None)
    if name is None:
        return None
    value, examples = metrics[name], record.get("examples") or record.get("masked_tokens") or 0
    unit = "masked tokens" if "masked_tokens" in record else "examples"
    if "counted" in record:
        unit = f"sentences with {sum(part['support'] for part in record['by_class']):,} {record['counted']}"
    split, where = "validation", "of the validation part; there was no test"
    if record["stage"] == "test":
        split, where = "test", "of the test split"
    part = run.facts.get("parts", {}).get(split)
    text = f"on {examples:,} {unit}{f' ({part})' if part else ''} {where}"
    if name == "accuracy" and examples:
        low, high = wilson(round(value * examples), examples)
        most = max(sum(row) for row in record["confusion"]) / examples
        text += f"; 95% interval {low:.1%} to {high:.1%}; always the most frequent class: {most:.1%}"
    elif name == "f1_micro":
        text += f"; {metrics['subset_accuracy']:.1%} have exactly their labels, macro F1 {metrics['f1']:.1%}"
        text += f"; {record['without_labels']:,} have no label"
    elif name == "pearson":
        text += f"; Spearman {metrics['spearman']:.3f}, R2 {metrics['r2']:.3f}, {metrics['mae']:.4g} off on average"
    elif name == "top1":
        text += f"; loss {metrics['loss']:.3f}, perplexity {metrics['perplexity']:,.1f}"
        text += f", {metrics['bits_per_char']:.3f} bits a character" if metrics.get("bits_per_char") else ""
    metric = task.metric(name)
    return {"value": metric.form.format(value), "name": metric.title.lower(), "text": text}


def wilson(hits: int, number: int) -> tuple[float, float]:
    """The 95% interval of the share `hits` / `number` (Wilson 1927); `number` is at least 1."""
    z, share = 1.959964, hits / number
    middle = (share + z * z / (2 * number)) / (1 + z * z / number)
    half = z / (1 + z * z / number) * math.sqrt(share * (1 - share) / number + z * z / (4 * number * number))
    return round(max(0.0, middle - half), 12), round(min(1.0, middle + half), 12)


def summary(run: RunFiles) -> list[tuple[str, str]]:
    """Rows about model, data and cost of a training."""
    facts, model, data = run.facts, run.config["model"].get("init_args", {}), run.config["data"].get("init_args", {})
    sizes = f"{model.get('n_layers', '?')} layers of width {model.get('dim', '?')}"
    start = model.get("pretrained") or f"from scratch, {sizes}"
    rows = [("model", f"{run.config['model']['class_path'].rsplit('.', 1)[-1]}, {start}")]
    rows.append(("data", str(run.data.get("source") or data.get("path"))))
    if "steps" in facts:
        rows += training_rows(facts)
    if facts.get("checkpoint"):
        chosen = ", ".join(f"{name} {value:.4f}" for name, value in facts["validation"].items()) or "no validation"
        rows.append((f"checkpoint of step {facts['checkpoint_step']}", f"chosen by {chosen}"))
    if facts.get("ema_decay"):
        rows.append(("weights", f"a moving average, ema_decay {facts['ema_decay']}"))
    return rows


def confused(matrix: list[tuple[str, list[int]]]) -> list[tuple[str, str, int]]:
    """The most frequent confusions: label, prediction, number of texts."""
    labels = [label for label, _ in matrix]
    pairs = [(a, b, n) for a, counts in matrix for b, n in zip(labels, counts, strict=True) if a != b and n]
    return sorted(pairs, key=lambda entry: -entry[2])[:MOST_CONFUSED]


def mistake(entry: dict[str, Any]) -> dict[str, Any]:
    """A wrong prediction, each word with how strongly it counted for or against it, from 0 to `STRENGTHS`."""
    marked = [
        (word, math.ceil(abs(score) * STRENGTHS) if abs(score) >= 0.15 else 0, "for" if score > 0 else "against")
        for word, score in entry["words"][:MOST_WORDS]
    ]
    return {**entry, "marked": marked, "cut": len(entry["words"]) > MOST_WORDS}


def probes(run: RunFiles) -> list[dict[str, Any]]:
    """The fillings of the probe sentences over time: a table per mask."""
    records = [record for record in [*run.validations, run.test] if record.get("probes")]
    every = -(-len(records) // MOST_ROWS) or 1
    tables: dict[tuple[str, int], list[Any]] = {}
    for record in records[::-every][::-1]:  # always including the last one
        when = f"step {record['step']:,}" if record["stage"] == "val" else "test"
        for probe in record["probes"]:
            for hole, best in enumerate(probe["fillings"]):
                tables.setdefault((probe["text"], hole), []).append((when, best))
    return [{"text": text, "hole": hole + 1, "rows": rows} for (text, hole), rows in tables.items()]


def number(value: Any) -> str:
    """Format a number for the page."""
    if value is None:
        return "–"
    if isinstance(value, int):
        return f"{value:,}"
    return f"{value:,.0f}" if abs(value) >= 1000 else f"{value:,.1f}" if abs(value) >= 10 else f"{value:.4f}"


def _rendered(template: str, values: dict[str, Any]) -> str:
    from jinja2 import Environment, PackageLoader, StrictUndefined

    how: dict[str, Any] = {"undefined": StrictUndefined, "trim_blocks": True, "lstrip_blocks": True}
    environment = Environment(loader=PackageLoader("lightning_nlp.report"), autoescape=True, **how)
    environment.filters |= {"number": number, "draw": draw}
    return environment.get_template(template).render(values, chart_style=STYLE)
