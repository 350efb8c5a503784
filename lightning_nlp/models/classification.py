"""Sequence classification: an encoder with a linear head, trained and measured."""

from typing import Any, Literal

from torch import Tensor, nn

from lightning_nlp.errors import UserError, check_range
from lightning_nlp.evaluation import counted
from lightning_nlp.models import encoder, packing
from lightning_nlp.models.freezing import Frozen
from lightning_nlp.models.module import EncoderModule, Stage, mean_metric
from lightning_nlp.models.number import Number
from lightning_nlp.models.problem import OneClass, Problem, SeveralLabels
from lightning_nlp.training.schedules import Schedule

PROBLEMS: dict[str, type[Problem]] = {"classes": OneClass, "labels": SeveralLabels, "number": Number}


class SequenceClassifier(EncoderModule):
    """A text encoder that puts each text into one of several classes, gives it labels, or a number.

    Which of them the data module decides from the labels (`--data.problem`).

    Labels and tokenizer come from the data module when the Trainer starts, or from a checkpoint with
    `load_from_checkpoint`. A batch is a dict of `input_ids` and `attention_mask` (B, T), or packed (see
    `packing.forward`), and `labels`: classes (B,), 0 and 1 for each label (B, labels), or numbers (B,), float;
    rows labelled -100, or NaN among numbers, are ignored.

    Args:
        pretrained: A folder or a Hub id; null makes a new DistilBERT of the sizes below, which count only then.
        freeze: What of a pretrained model is not trained: `embeddings`, those and the first N layers (a
            number), or the `encoder`, all but the head; null trains all.
        keep_head: Take a pretrained head's rows by position if its classes have other names than the labels;
            by default such a head's last layer is new.
        n_layers: Transformer layers.
        n_heads: Attention heads a layer.
        dim: Width of the hidden states.
        hidden_dim: Width of the feed-forward layers.
        dropout: Rate on hidden states, the head's included; null leaves the model's own.
        attention_dropout: Rate on attention weights; null leaves the model's own. 0 allows the fused kernel,
            which on a CPU makes training 2.2 times as fast.
        lr: Peak learning rate.
        weight_decay: Decoupled weight decay of matrices and embeddings; biases and norms have none.
        schedule: The learning rate after the warmup: linear, cosine, constant, or wsd (warmup, stable, decay).
        warmup_ratio: Share of the optimizer steps in which the learning rate rises.
        label_smoothing: Share of each target spread over all classes, in training only.
        class_weights: Weight of each class in the training loss, in the order of the labels; "balanced" takes
            n / (k n_c) for n training examples, k classes and n_c examples of the class; null weighs all
            alike. Of several labels it weighs the examples that have the label, balanced (n - n_c) / n_c.
        label_names: The classes' names in the order of their ids, for your own DataLoader, with `pretrained`;
            null takes the data module's.
    """

    task = OneClass.task  # until the data, or a checkpoint, say another one

    def __init__(
        self,
        *,
        pretrained: str | None = None,
        freeze: Frozen | None = None,
        keep_head: bool = False,
        n_layers: int = 6,
        n_heads: int = 12,
        dim: int = 768,
        hidden_dim: int = 3072,
        dropout: float | None = None,
        attention_dropout: float | None = 0.0,
        lr: float = 2e-5,
        weight_decay: float = 0.01,
        schedule: Schedule = "linear",
        warmup_ratio: float = 0.06,
        label_smoothing: float = 0.0,
        class_weights: Literal["balanced"] | list[float] | None = None,
        label_names: list[str] | None = None,
    ) -> None:
        super().__init__()
        self.save_hyperparameters()
        encoder.check_settings(self.hparams)
        check_range("--model.label_smoothing", label_smoothing, 0, 1, high_open=True)
        if isinstance(class_weights, str) and class_weights != "balanced":
            raise UserError(f"class_weights is {class_weights!r}: give --model.class_weights balanced, or a list.")
        if isinstance(class_weights, list):
            for weight in class_weights:
                check_range("--model.class_weights", weight, 0)
            if not any(class_weights):
                raise UserError(f"class_weights is {class_weights}, all 0: change --model.class_weights.")
        self.label_names = label_names  # the data's once they are known
        self.problem: Problem = OneClass()
        self.class_weights: Tensor | None

    def config_overrides(self) -> dict[str, Any]:
        """The names of the classes, and the problem."""
        return self.problem.configuration(self.label_names or [])

    def forward(self, batch: dict[str, Tensor]) -> Tensor:
        """The logits of each class in float32, (B, classes), or a number (B, 1), in the order of the batch."""
        return self.problem.outputs(packing.forward(self.network, batch).float())

    def loss_terms(self, batch: dict[str, Tensor]) -> tuple[Tensor, Tensor]:
        """The problem's loss."""
        packing.check_batch(batch, "labels")
        return self.problem.loss_terms(
            self(batch), batch["labels"], self.class_weights, self.hparams["label_smoothing"]
        )

    def evaluate(self, batch: dict[str, Tensor], stage: Stage) -> dict[str, Tensor]:
        """Keep a batch's results, with the plain loss, without label smoothing or class weights.

        Returns:
            Its `logits` (B, number of classes) and `labels` (B, ...).
        """
        packing.check_batch(batch, "labels")
        outputs, labels = self(batch), batch["labels"]
        self._evaluated.append((self.problem.losses(outputs, labels), self.problem.predicted(outputs), labels))
        return {"logits": outputs, "labels": labels}

    def new_metrics(self, stage: Stage) -> Any:
        """The loss, and the problem's scores."""
        scores = self.problem.metrics(stage, len(self.label_names or []))
        return nn.ModuleDict({"loss": mean_metric(), "scores": scores})

    def log_metrics(self, stage: Stage) -> None:
        """Log a split's metrics; they leave rows out, which waits for the device, so only at its end."""
        loss, scores = self.metrics[stage]["loss"], self.metrics[stage]["scores"]
        for losses, predictions, labels in self._evaluated:
            loss.update(losses[counted(labels)])
            scores.update(predictions, labels)
        self._evaluated.clear()
        self.log(f"{stage}/loss", loss, prog_bar=True)
        self.log_dict(scores.compute(), prog_bar=stage == "val", sync_dist=True)  # the same in all processes

    def predict_step(self, batch: dict[str, Tensor], batch_idx: int) -> Tensor:
        """The probability of each class or label, (B, k), or a number (B, 1); in the order of `rows` if any."""
        found = self.problem.chances(self(batch))
        return found[batch["rows"].argsort()] if "rows" in batch else found

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Without a Trainer, take the checkpoint's problem and labels too."""
        if not encoder.attached(self):
            self._take_problem(checkpoint.get("lightning_nlp", {}).get("task"))
        super().on_load_checkpoint(checkpoint)
        if not encoder.attached(self):
            self.label_names = self.loaded["label_names"]

    def _metadata(self) -> dict[str, Any]:
        return super()._metadata() | {"label_names": [str(name) for name in self._data.label_names]}

    def _build(self) -> None:
        data = self._data
        labels, ours = list(data.label_names or []), self.hparams["label_names"]
        facts = getattr(data, "label_facts", {"class_counts": getattr(data, "class_counts", None)})
        problem = PROBLEMS[facts.get("problem", "classes")]
        self._take_problem(problem.task)
        if (not labels and problem.problem_type) or ours not in (None, labels):
            raise UserError(
                f"The labels of the data are {labels or 'not known'}, and label_names is {ours}: without a data module "
                "give SequenceClassifier both label_names and pretrained, with one leave label_names out."
            )
        for name in self.problem.refused:
            if self.hparams[name]:
                raise UserError(f"--model.{name} is for classes, and these labels are numbers: leave it out.")
        self.label_names = labels
        weights = self.problem.class_weights(self.hparams["class_weights"], facts, labels)
        new = self.network is None
        super()._build()
        if new:
            self.problem.begin(self.network, self.hparams, facts)
        self.register_buffer("class_weights", weights, persistent=False)

    def _take_problem(self, task: str | None) -> None:
        if task != self.task and (found := [kind for kind in PROBLEMS.values() if kind.task == task]):
            self.problem, self.task = found[0](), found[0].task
