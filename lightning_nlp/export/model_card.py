"""The export's README.md: a model card, with the metrics where the Hub looks for them."""

from __future__ import annotations

import html
import json
import math
import re
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any

from lightning_nlp.callbacks.progress import duration
from lightning_nlp.predict.calibration import WHICH, Calibration
from lightning_nlp.privacy import public_command
from lightning_nlp.report.summary import counted
from lightning_nlp.run.environment import versions
from lightning_nlp.tasks import METRICS, Task

if TYPE_CHECKING:
    from lightning_nlp.evaluation.figures import Figure

USAGE = """```python
from transformers import pipeline

model = pipeline("{tag}", "export", {options})
print(model({single}))
```

`export` is this folder's path. {cut}What predicts as after the training, empty texts included:

```python
from lightning_nlp import load_predictor

model = load_predictor("export")
print(model([{text}]))
```"""
SIZES = ("num_hidden_layers", "num_attention_heads", "hidden_size", "vocab_size", "max_position_embeddings")
NO_ID = re.compile(r"[^\w./-]+")


def model_card(
    network: Any,
    data_facts: dict[str, Any],
    task: Task,
    facts: dict[str, Any],
    *,
    name: str,
    reading: dict[str, Any],
    base_model: str | None = None,
    record: dict[str, Any] | None = None,
    calibrated: Calibration | str = "",
    figures: Sequence[Figure] = (),
) -> str:
    """Markdown with the Hub's front matter; it quotes no text of the data, only probes, which the user chose.

    Args:
        record: The evaluation on the test split.
        calibrated: What was done to the probabilities, or why nothing was.
        figures: The test's charts, drawn in `<name>.svg` beside the card.
    """
    from huggingface_hub import ModelCardData

    record = record or {}
    test = {key.removeprefix("test/"): value for key, value in facts["test"].items()} | record.get("metrics", {})
    source = str(data_facts["source"])
    front = ModelCardData(
        library_name="transformers",
        pipeline_tag=task.pipeline_tag,
        tags=["lightning_nlp"],
        base_model=base_model,
        datasets=[source] if "/" in source else None,  # a Hub id; files are named without their folder
        metrics=sorted(name for name in test if name in METRICS and METRICS[name].known) or None,
        model_name=name,
        # on a part of the split they would be read as results on all of it
        eval_results=None if "test" in facts["parts"] else _eval_results(test, task, source, calibrated),
    )
    parameters = sum(parameter.numel() for parameter in network.parameters())
    trained = f"Trained with lightning_nlp on {_cell(source)}."
    if data_facts.get("label_names"):
        trained += f" Labels: {', '.join(_cell(label) for label in data_facts['label_names'])}."
    split_sizes = []
    for split in ("train", "validation", "test"):
        sampled = " (a sample of the stream)" if data_facts.get("streamed") and split == "train" else ""
        read = f"; read: {facts['parts'][split]}" if split in facts["parts"] else ""
        texts, tokens = (f"{data_facts[split][name]:,}" for name in ("texts", "tokens"))
        split_sizes.append((split + sampled, texts + read, tokens))
    measured = {**facts["validation"], **facts["test"]}
    speed = "" if facts["tokens_per_s"] is None else f", {facts['tokens_per_s']:,.0f} tokens/s"
    resumed = f", the last {facts['steps'] - facts['since_step']:,} of them" if facts["since_step"] else ""
    config = network.config
    parts = [
        f"# {config.architectures[0]}, {parameters:,} parameters",
        trained,
        _table(("metric", "value"), ((key, f"{value:.4f}") for key, value in measured.items())),
        _checkpoint(facts),
        *_classes(record),
        *_drawn(figures),
        *_calibration(calibrated),
        *_fillings(record),
        "## How to use",
        _how_to_use(task, reading),
        "## Training",
        _table(("split", "texts", "tokens"), split_sizes),
        "\n".join(f"- {line}" for line in data_facts["cleaning"]),
        f"{counted(facts['epochs'], 'epoch')}, {counted(facts['steps'], 'step')}{resumed} in "
        f"{duration(facts['seconds'])} on {facts['hardware']} in {facts['precision']}{speed}.",
        f"```\n{public_command(facts['command'])}\n```",
        "Versions: " + ", ".join(f"{name} {version}" for name, version in versions().items()) + ".",
        "Sizes: `" + json.dumps({name: getattr(config, name) for name in SIZES if hasattr(config, name)}) + "`",
    ]
    return f"---\n{front.to_yaml()}\n---\n\n" + "\n\n".join(part for part in parts if part) + "\n"


def _how_to_use(task: Task, reading: dict[str, Any]) -> str:
    length = reading["max_length"]
    options = task.options.format(length=length)
    cut = ""
    if reading.get("truncation") == "head_tail":
        cut = f"Of texts of over {length} tokens the training left out the middle, and a pipeline leaves out the end. "
    text = single = f'"{task.example}"'
    if "text_column" in reading:
        first, second = (f"A {column}." for column in map(_cell, reading["text_column"]))
        text, single = f'("{first}", "{second}")', f'{{"text": "{first}", "text_pair": "{second}"}}'
    return USAGE.format(tag=task.pipeline_tag, options=options, cut=cut, text=text, single=single)


def _checkpoint(facts: dict[str, Any]) -> str:
    why = "".join(f"the best of the validations by {_cell(name)}" for name in facts["validation"])
    said = f"The weights are those of step {facts['checkpoint_step']:,}, {why or 'the last; no validation chose them'}"
    return said + (f", as a moving average (`ema_decay {facts['ema_decay']}`)." if facts["ema_decay"] else ".")


def _eval_results(test: dict[str, float], task: Task, source: str, calibrated: Calibration | str) -> list[Any]:
    """The test split's metrics for the network as it is exported."""
    from huggingface_hub import EvalResult

    if isinstance(calibrated, Calibration) and calibrated.test is not None:
        test = {name: value for name, value in test.items() if name != "brier"}  # measured before
        test |= {"loss": calibrated.test["loss_after"], "ece": calibrated.test["ece_after"]}
    return [
        EvalResult(
            task_type=task.pipeline_tag,
            task_name=task.hub_title,
            dataset_type=NO_ID.sub("-", source).strip("-") or "data",
            dataset_name=source,
            dataset_split="test",
            metric_type=name,
            metric_name=task.metric(name).title,
            metric_value=round(value, 6),
            metric_args={"average": average} if (average := task.metric(name).average) else None,
        )
        for name, value in test.items()
        if math.isfinite(value)
    ]


def _classes(record: dict[str, Any]) -> list[str]:
    parts, titles = record.get("by_class", ()), {"precision": "precision", "recall": "recall", "f1": "F1"}
    titles |= {"average_precision": "average precision", "auc": "AUC"} if "counted" not in record else {}
    rows = [
        (_cell(part["label"]), *(_number(part.get(key)) for key in titles), f"{part['support']:,}") for part in parts
    ]
    heads = ("class", *titles.values(), record.get("counted", "examples"))
    said = {
        "entities": "An entity counts as found if its first word, its last word and its type are right; precision, "
        "recall and F1 are of all entities together.",
        "words": "Precision, recall and F1 are means over the tags (macro).",
    }.get(record.get("counted", ""), "")
    return ["## Classes, on test", said, _table(heads, rows)] if rows else []


def _calibration(found: Calibration | str) -> list[str]:
    reason = found if isinstance(found, str) else found.why_none()
    parts = ["## Probabilities", f"They are as the network gives them, not calibrated: {reason}."]
    if isinstance(found, str):
        return parts if found else []
    if not reason:
        said = (
            f"They are calibrated by temperature scaling (Guo et al. 2017): T = {found.temperature:.4f}, fitted on "
            f"{found.examples:,} validation examples and stored in the last layer's weights, so that they need nothing "
            "more. The labels are the same with and without it. The test split had no part in the fit."
        )
        rows = [
            (f"{split}, {when}", f"{figures[f'loss_{when}']:.4f}", f"{figures[f'ece_{when}']:.4f}")
            for split, figures in (("validation", found.validation), ("test", found.test))
            for when in ("before", "after")
            if figures is not None
        ]
        parts[1:] = [said, _table(("", "loss", "expected calibration error"), rows)]
    thresholds = [
        (
            _cell(label),
            "best F1" if which == "best_f1" else f"precision {choice[which]['precision']:g}",
            f"{choice[which]['threshold']:.4f}",
            *(_number((choice.get("test", {}).get(which) or {}).get(key)) for key in ("precision", "recall", "f1")),
        )
        for label, choice in found.thresholds.items()
        for which in WHICH
        if choice[which] is not None
    ]
    if thresholds:
        parts += [
            "From which probability on to take a class for given, chosen on validation, and what that gives on test:",
            _table(("class", "for the", "threshold", "precision", "recall", "F1"), thresholds),
        ]
    return parts


def _drawn(figures: Sequence[Figure]) -> list[str]:
    image = "### {0.heading}\n\n![{0.heading}]({0.name}.svg)\n\n{1}"
    parts = [image.format(figure, _cell(figure.text)) for figure in figures]
    return ["## Charts, on test", *parts] if parts else []


def _fillings(record: dict[str, Any]) -> list[str]:
    rows = [
        (_cell(probe["text"]), ", ".join(f"{_cell(best['token'])} {best['probability']:.3f}" for best in fillings))
        for probe in record.get("probes", ())
        for fillings in probe["fillings"]
    ]
    return ["## What it fills in", _table(("text", "likeliest tokens"), rows)] if rows else []


def _table(titles: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    lines = [titles, ["---"] * len(titles), *rows]
    return "\n".join("| " + " | ".join(cells) + " |" for cells in lines).replace("|  |", "| |")


def _cell(text: Any) -> str:
    """Any text as inert Markdown on one line."""
    line = html.escape(" ".join(str(text).split()), quote=False)
    return "".join(f"\\{c}" if c in "\\`*_[]|~#" else c for c in line)


def _number(value: float | None) -> str:
    return "–" if value is None else f"{value:.4f}"
