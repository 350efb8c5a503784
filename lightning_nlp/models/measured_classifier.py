"""How a text classifier is validated, tested and used; a training step runs none of this."""

from typing import Any

import torch.nn.functional as F
from torch import Tensor, nn

from lightning_nlp.evaluation import counted
from lightning_nlp.evaluation.classes import class_scores
from lightning_nlp.models import packing
from lightning_nlp.models.measured import Stage, mean_metric
from lightning_nlp.models.module import EncoderModule


class MeasuredClass(nn.Module):
    """What the outputs for one class a text are worth."""

    def losses(self, outputs: Tensor, labels: Tensor) -> Tensor:
        """Of each example, (B,), without weights or label smoothing."""
        return F.cross_entropy(outputs, labels, reduction="none")

    def probabilities(self, outputs: Tensor) -> Tensor:
        return outputs.softmax(dim=-1)

    def metrics(self, number: int) -> Any:
        """Scores by name, of outputs and labels."""
        return class_scores(number)


class MeasuredClassifier(EncoderModule):
    """Measures by its `problem`, a MeasuredClass."""

    problem: Any

    def evaluate(self, batch: dict[str, Tensor], stage: Stage) -> dict[str, Tensor]:
        """Keep a batch's `logits` (B, number of classes) and `labels` (B, ...), and return them."""
        packing.check_batch(batch, "labels")
        self._evaluated.append({"logits": self(batch), "labels": batch["labels"]})
        return self._evaluated[-1]

    def new_metrics(self) -> dict[str, Any]:
        return {"loss": mean_metric(), "scores": self.problem.metrics(len(self.label_names or []))}

    def log_metrics(self, stage: Stage) -> None:
        """Leaving out unlabelled rows waits for the device, so the metrics are updated at the end of the split."""
        for outputs, labels in (part.values() for part in self._evaluated):
            self.metrics["loss"].update(self.problem.losses(outputs, labels)[counted(labels)])
            self.metrics["scores"].update(outputs, labels)
        self._evaluated.clear()
        found = {"loss": self.metrics["loss"].compute(), **self.metrics["scores"].compute()}
        for name, value in found.items():  # the same in all processes
            self.log(f"{stage}/{name}", value, prog_bar=stage == "val" or name == "loss", sync_dist=True)

    def predict_step(self, batch: dict[str, Tensor], batch_idx: int) -> Tensor:
        """The probability of each class or label, (B, k), or a number (B, 1); in the order of `rows` if any."""
        found = self.problem.probabilities(self(batch))
        return found[batch["rows"].argsort()] if "rows" in batch else found
