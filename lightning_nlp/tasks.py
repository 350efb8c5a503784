"""What differs between the tasks: a row each, and nothing but data. Who shows, tags or exports a run reads its row."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

Plots = Mapping[str, Sequence[str]]  # by title, the metrics in a plot of W&B; "re:" begins a pattern of their names


@dataclass(frozen=True)
class Metric:
    """A metric of an evaluation.

    Attributes:
        name: As in `val/<name>`.
        title: As people write it.
        better: "min" or "max", whichever is the best value.
        form: How a report's headline writes it.
        average: How it averages over the classes, as the Hub names that.
        known: Whether the Hub has a page about it, to which a model card refers.
    """

    name: str
    title: str
    better: str = "max"
    form: str = "{:.1%}"
    average: str | None = None
    known: bool = False


@dataclass(frozen=True)
class Task:
    """A row of the table.

    Attributes:
        name: In checkpoints and evaluation records, and the tag of its runs in W&B.
        title: As a report names it.
        module: The class name of its LightningModule.
        head: How the names of its transformers classes end.
        pipeline_tag: The Hub's name for it.
        hub_title: The same for people.
        metrics: Those of its evaluations, and of its test.
        headlines: Which of them a report has on top: the first that was measured.
        curves: A report's charts of the validations: heading, y axis, and the metrics with their names.
        workspace: The name of its dashboard in W&B.
        compared: The metrics by which W&B compares runs: `.min` or `.max` is the best value of each.
        quality: Plots of W&B.
        mistakes: More plots, of parts of the data.
        calibrated: Whether an export's probabilities can be calibrated.
        fills_masks: Whether its texts hold [MASK].
    """

    name: str
    title: str
    module: str
    head: str
    pipeline_tag: str
    hub_title: str
    metrics: Sequence[Metric]
    headlines: Sequence[str]
    curves: Sequence[tuple[str, str, Mapping[str, str]]]
    workspace: str
    compared: Sequence[str]
    quality: Plots
    mistakes: Plots
    calibrated: bool = False
    fills_masks: bool = False


LOSS = Metric("loss", "Loss", "min", "{:.4f}")
LOSSES = ["train/loss", "val/loss"]
CLASSIFICATION = Task(
    name="classification",
    title="text classification",
    module="SequenceClassifier",
    head="ForSequenceClassification",
    pipeline_tag="text-classification",
    hub_title="Text Classification",
    metrics=(
        LOSS,
        Metric("accuracy", "Accuracy", known=True),
        Metric("precision", "Precision (macro)", average="macro", known=True),
        Metric("recall", "Recall (macro)", average="macro", known=True),
        Metric("f1", "F1 (macro)", average="macro", known=True),
        Metric("ece", "Expected calibration error", "min"),
        Metric("brier", "Brier score", "min"),
    ),
    headlines=("accuracy", "loss"),
    curves=(("Accuracy on validation", "accuracy", {"val/accuracy": "accuracy", "val/f1": "f1"}),),
    workspace="lightning_nlp: classification",
    compared=("val/accuracy.max", "val/f1.max", "test/accuracy", "test/f1"),
    quality={
        "Accuracy": ["val/accuracy"],
        "Macro F1": ["val/f1"],
        "Macro precision and recall": ["val/precision", "val/recall"],
        "Loss on train and validation": LOSSES,
        "Calibration error": ["val/ece", "val/brier"],
    },
    mistakes={
        "F1 by class": ["re:val/f1/.+"],
        "Precision and recall by class": ["re:val/(precision|recall)/.+"],
    },
    calibrated=True,
)
MLM = Task(
    name="mlm",
    title="masked language model",
    module="MaskedLanguageModel",
    head="ForMaskedLM",
    pipeline_tag="fill-mask",
    hub_title="Masked Language Modeling",
    metrics=(
        LOSS,
        Metric("perplexity", "Perplexity", "min", known=True),
        Metric("bits_per_char", "Bits per character", "min"),
        Metric("top1", "Top-1 accuracy"),
        Metric("top5", "Top-5 accuracy"),
    ),
    headlines=("top1", "loss"),
    curves=(
        ("Perplexity on validation", "perplexity", {"val/perplexity": "perplexity"}),
        ("Bits per character on validation", "bits per character", {"val/bits_per_char": "bits"}),
        ("Accuracy on masked tokens, validation", "accuracy", {"val/top1": "top-1", "val/top5": "top-5"}),
    ),
    workspace="lightning_nlp: masked language model",
    compared=("val/loss.min", "val/top1.max", "test/loss", "test/bits_per_char"),
    quality={
        "Loss on train and validation": LOSSES,
        "Perplexity": ["val/perplexity"],
        "Bits a character": ["val/bits_per_char"],
        "Top-1 and top-5 accuracy": ["val/top1", "val/top5"],
    },
    mistakes={
        "Top-1 accuracy of words and subwords": ["val/top1/word", "val/top1/subword"],
        "Top-1 accuracy by the token's count in train": ["re:val/top1/[0-9].*"],
    },
    fills_masks=True,
)
TASKS = {task.name: task for task in (CLASSIFICATION, MLM)}
METRICS = {metric.name: metric for task in TASKS.values() for metric in task.metrics}


def task_of_module(class_path: str) -> Task | None:
    """The task of a LightningModule's class; None for a user's own."""
    return next((task for task in TASKS.values() if task.module == class_path.rsplit(".", 1)[-1]), None)


def task_of_network(architecture: str) -> Task:
    """The task of a network of transformers, such as DistilBertForMaskedLM; a classifier where none fits."""
    return next((task for task in TASKS.values() if architecture.endswith(task.head)), CLASSIFICATION)
