"""The export's README.md: a model card, with the metrics where the Hub looks for them."""

from __future__ import annotations

import html
import json
import math
import re
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from lightning_nlp.callbacks.progress import duration
from lightning_nlp.predict.calibration import Calibration
from lightning_nlp.privacy import public_command
from lightning_nlp.report.summary import counted
from lightning_nlp.run.environment import versions
from lightning_nlp.tasks import METRICS, Task

if TYPE_CHECKING:
    from lightning_nlp.evaluation.figures import Figure

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
    calibrated: Calibration | None = None,
    figures: Sequence[Figure] = (),
) -> str:
    """Markdown with the Hub's front matter; it quotes no texts from the data, only the user's probes.

    Args:
        record: The evaluation on the test split.
        calibrated: The calibration of the probabilities.
        figures: The test's charts, drawn in `<name>.svg` beside the card.
    """
    from huggingface_hub import ModelCardData
    from jinja2 import Environment, PackageLoader

    record, calibrated = record or {}, calibrated or Calibration()
    test = {key.removeprefix("test/"): value for key, value in facts["test"].items()} | record.get("metrics", {})
    source, config = str(data_facts["source"]), network.config
    front = ModelCardData(
        library_name="transformers",
        pipeline_tag=task.pipeline_tag,
        tags=["lightning_nlp"],
        base_model=base_model,
        datasets=[source] if "/" in source else None,  # a Hub id; files are named without their folder
        metrics=sorted(name for name in test if name in METRICS and METRICS[name].known) or None,
        model_name=name,
        # results on part of the split would be read as results on all of it
        eval_results=None if "test" in facts["parts"] else _eval_results(test, task, source, calibrated),
    )
    text = single = f'"{task.example}"'
    if "text_column" in reading:
        examples = (f"A {column}.".replace("`", "") for column in reading["text_column"])  # ``` would end the code
        first, second = (json.dumps(example, ensure_ascii=False) for example in examples)
        text, single = f"({first}, {second})", f'{{"text": {first}, "text_pair": {second}}}'
    environment = Environment(loader=PackageLoader("lightning_nlp.export"), trim_blocks=True, lstrip_blocks=True)
    environment.filters |= {
        "cell": _cell,
        "counted": counted,
        "duration": duration,
        "number": lambda value: f"{value:.4f}" if isinstance(value, int | float) else "–",
        "thousands": "{:,.0f}".format,
    }
    card = environment.get_template("model_card.md.j2").render(
        front=front.to_yaml(),
        config=config,
        parameters=sum(parameter.numel() for parameter in network.parameters()),
        data=data_facts,
        measured={**facts["validation"], **facts["test"]},
        facts=facts,
        record=record,
        figures=figures,
        calibrated=calibrated,
        task=task,
        reading=reading,
        options=task.options.format(length=reading["max_length"]),
        text=text,
        single=single,
        command=public_command(facts["command"]),
        versions=[f"{package} {version}" for package, version in versions().items()],
        sizes=json.dumps({size: getattr(config, size) for size in SIZES if hasattr(config, size)}),
    )
    return re.sub(r"\n{3,}", "\n\n", card).rstrip() + "\n"


def _eval_results(test: dict[str, float], task: Task, source: str, calibrated: Calibration) -> list[Any]:
    from huggingface_hub import EvalResult

    if calibrated.test is not None:
        test = {name: value for name, value in test.items() if name != "brier"}  # measured before calibration
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


def _cell(text: Any) -> str:
    """Any text as inert Markdown on one line."""
    line = html.escape(" ".join(str(text).split()), quote=False)
    return "".join(f"\\{c}" if c in "\\`*_[]|~#" else c for c in line)
