"""All that differs between tasks: a row of plain data for each."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

Plots = Mapping[str, Sequence[str]]  # W&B's plots: by title their metrics, or "re:" and a pattern of names


@dataclass(frozen=True)
class Metric:
    """A metric of an evaluation, logged as `val/<name>`."""

    name: str
    title: str  # for readers
    better: str = "max"  # or "min"
    form: str = "{:.1%}"  # in a report's headline
    average: str | None = None  # over the classes, as the Hub names it
    known: bool = False  # the Hub has a page about it


@dataclass(frozen=True)
class Task:
    """A row of the table."""

    name: str  # in checkpoints and evaluation records, and the tag of its runs in W&B
    title: str  # in a report
    module: str  # the class name of its LightningModule
    head: str  # the end of its class names in transformers
    pipeline_tag: str  # the Hub's name for it
    hub_title: str
    metrics: Sequence[Metric]
    headlines: Sequence[str]  # a report's headline is the first of these metrics that was measured
    curves: Sequence[tuple[str, str, Mapping[str, str]]]  # a report's: heading, y axis, labels by metric
    workspace: str  # the name of its dashboard in W&B
    compared: Sequence[str]  # metrics in comparisons of runs; `.min` or `.max` is a run's best value
    mistakes: Plots
    problem_type: str = ""  # of its networks' configuration, where tasks share a head
    predicts: str = "label"  # the key of a prediction, None for a text without words
    at_least: float | None = None  # the threshold at which a label is predicted; None: the likeliest
    has_thresholds: bool = False  # whether validation chooses thresholds for its labels
    calibrated: bool = False  # whether its export's probabilities can be calibrated
    fills_masks: bool = False  # whether its texts have [MASK]
    tags_words: bool = False  # whether it predicts a label per word
    unit: str = "texts"  # what a confusion matrix counts
    options: str = "truncation=True, max_length={length}"  # of a pipeline, in the card
    example: str = "A text."

    def metric(self, name: str) -> Metric:
        """The metric of this name; a user's module may log one unknown to all tasks."""
        own = {metric.name: metric for metric in self.metrics}
        return own.get(name) or METRICS.get(name) or Metric(name, name.replace("_", " ").capitalize())

    @property
    def quality(self) -> Plots:
        """W&B's plots of quality."""
        plots = {metric.title: [f"val/{metric.name}"] for metric in self.metrics}
        return plots | {LOSS.title: ["train/loss", "val/loss"]}

    @property
    def monitors(self) -> dict[str, str]:
        """The metrics that a validation logs, with "min" or "max"; calibration is measured later."""
        return {f"val/{metric.name}": metric.better for metric in self.metrics if metric.name not in ("ece", "brier")}


LOSS = Metric("loss", "Loss", "min", "{:.4f}")
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
    mistakes={"F1 by class": ["re:val/f1/.+"], "Precision and recall by class": ["re:val/(precision|recall)/.+"]},
    problem_type="single_label_classification",
    has_thresholds=True,
    calibrated=True,
)
LABELS = replace(
    CLASSIFICATION,
    name="labels",
    title="several labels a text",
    metrics=(
        LOSS,
        Metric("f1", "F1 (macro)", average="macro", known=True),
        Metric("f1_micro", "F1 (micro)", average="micro"),
        Metric("average_precision", "Average precision (macro)", average="macro"),
        Metric("subset_accuracy", "Texts with exactly their labels"),
    ),
    headlines=("f1_micro", "loss"),
    curves=(("F1 on validation", "F1", {"val/f1_micro": "micro", "val/f1": "macro"}),),
    workspace="lightning_nlp: several labels",
    compared=("val/f1_micro.max", "val/f1.max", "test/f1_micro", "test/f1"),
    problem_type="multi_label_classification",
    predicts="labels",
    at_least=0.5,
    calibrated=False,
)
NUMBER = replace(
    CLASSIFICATION,
    name="number",
    title="a number for a text",
    metrics=(
        LOSS,
        Metric("mse", "Mean squared error", "min", "{:.4g}", known=True),
        Metric("mae", "Mean absolute error", "min", "{:.4g}", known=True),
        Metric("r2", "R2", form="{:.3f}"),
        Metric("pearson", "Pearson correlation", form="{:.3f}"),
        Metric("spearman", "Spearman correlation", form="{:.3f}"),
    ),
    headlines=("pearson", "loss"),
    curves=(
        ("Correlation on validation", "correlation", {"val/pearson": "Pearson", "val/spearman": "Spearman"}),
        ("Mean absolute error on validation", "error", {"val/mae": "mean absolute error"}),
    ),
    workspace="lightning_nlp: numbers",
    compared=("val/pearson.max", "val/mae.min", "test/pearson", "test/mae"),
    mistakes={},
    problem_type="regression",
    predicts="value",
    has_thresholds=False,
    calibrated=False,
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
    mistakes={
        "Top-1 accuracy of words and subwords": ["val/top1/word", "val/top1/subword"],
        "Top-1 accuracy by the token's count in train": ["re:val/top1/[0-9].*"],
    },
    fills_masks=True,
    options='tokenizer_kwargs={{"truncation": True, "max_length": {length}}}',
    example="A [MASK].",
)
TAGS = Task(
    name="tags",
    title="tags of words",
    module="TokenClassifier",
    head="ForTokenClassification",
    pipeline_tag="token-classification",
    hub_title="Token Classification",
    metrics=(
        LOSS,
        Metric("accuracy", "Accuracy of words", known=True),
        Metric("precision", "Precision", known=True),
        Metric("recall", "Recall", known=True),
        Metric("f1", "F1", known=True),
    ),
    headlines=("f1", "loss"),
    curves=(("F1 on validation", "F1", {"val/f1": "f1", "val/precision": "precision", "val/recall": "recall"}),),
    workspace="lightning_nlp: tags of words",
    compared=("val/f1.max", "val/accuracy.max", "test/f1", "test/accuracy"),
    mistakes={"F1 by type": ["re:val/f1/.+"], "Precision and recall by type": ["re:val/(precision|recall)/.+"]},
    tags_words=True,
    unit="words",
    options='aggregation_strategy="first"',
    example="Anna lives in Paris .",
)
# for metrics of equal name the last title wins
TASKS = {task.name: task for task in (TAGS, CLASSIFICATION, LABELS, NUMBER, MLM)}
METRICS = {metric.name: metric for task in TASKS.values() for metric in task.metrics}


def task_of_module(class_path: str) -> Task | None:
    """The task of a LightningModule's class, the first of several; None for a user's own."""
    return next((task for task in TASKS.values() if task.module == class_path.rsplit(".", 1)[-1]), None)


def task_of_network(architecture: str, problem_type: str | None = None) -> Task:
    """The task of a network of transformers, e.g. DistilBertForMaskedLM; classification if none matches."""
    rows = [task for task in TASKS.values() if architecture.endswith(task.head)]
    return next((task for task in rows if task.problem_type == problem_type), rows[0] if rows else CLASSIFICATION)
