"""Token classification: an encoder that tags each word, its head computed at the first pieces alone."""

from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from lightning_nlp.errors import UserError
from lightning_nlp.evaluation.tags import count, scores, types_of
from lightning_nlp.models import encoder
from lightning_nlp.models.encoder import Frozen
from lightning_nlp.models.measured import Stage, mean_metric
from lightning_nlp.models.mlm import LabelledTokens
from lightning_nlp.training.schedules import Schedule


class TokenClassifier(LabelledTokens):
    """A text encoder that tags each word: named entities, parts of speech.

    Tags (`label_names`) and tokenizer come from the data module when the Trainer starts, or from a
    checkpoint with `load_from_checkpoint`. A batch is a dict of `input_ids`, `attention_mask` and `labels`,
    all (B, T), or packed (see `packing.forward`); labels are -100 except at the first piece of each word.
    `words`, if there, has the positions of those, and `word_rows` each one's sentence.

    Args:
        pretrained: A folder or a Hub id; null builds a new DistilBERT of the sizes below, which apply only then.
        freeze: Which part of a pretrained model is not trained: `embeddings`, those and the first N layers (a
            number), or the `encoder`, all but the head; null trains all.
        keep_head: Keep a pretrained head's rows by position if its tags are named differently from the data's;
            by default the last layer of such a head is new.
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
    """

    task = "tags"
    positions = "words"

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
        lr: float = 5e-5,
        weight_decay: float = 0.01,
        schedule: Schedule = "linear",
        warmup_ratio: float = 0.06,
    ) -> None:
        super().__init__()
        self.save_hyperparameters()
        encoder.check_settings(self.hparams)

    def evaluate(self, batch: dict[str, Tensor], stage: Stage) -> dict[str, Tensor]:
        """Store the results of a batch's n words; returns `targets`, `predictions`, `loss` and `rows`, each (n,)."""
        logits, targets, positions = self.labelled(batch)
        logits = logits.float()
        rows = batch["word_rows"] if "word_rows" in batch else positions // batch["input_ids"].shape[1]
        losses = F.cross_entropy(logits, targets, reduction="none")
        outputs = {"targets": targets, "predictions": logits.argmax(-1), "loss": losses, "rows": rows}
        self._evaluated.append(outputs)
        return outputs

    def new_metrics(self) -> dict[str, Any]:
        return {name: mean_metric() for name in ("loss", "accuracy")}

    def log_metrics(self, stage: Stage) -> None:
        """Log a split's word accuracy and the `scores` of its counts."""
        names, metrics = self.label_names or [], self.metrics
        counts = np.zeros((len(types_of(names)), 3), dtype=np.int64)
        for part in self._evaluated:
            if len(part["targets"]):
                metrics["loss"].update(part["loss"])
                metrics["accuracy"].update((part["targets"] == part["predictions"]).float())
                targets, predictions, rows = (part[name].cpu().numpy() for name in ("targets", "predictions", "rows"))
                counts += count(targets, predictions, rows, names)
        self._evaluated.clear()
        total = torch.from_numpy(counts).to(self.device)
        counts = self.trainer.strategy.reduce(total, reduce_op="sum").cpu().numpy()
        values = {name: metric.compute() for name, metric in metrics.items()} | scores(counts, names)
        for name, value in values.items():
            on_bar = name == "loss" or (name == "f1" and stage == "val")
            self.log(f"{stage}/{name}", float(value), sync_dist=True, prog_bar=on_bar)

    def _build(self) -> None:
        self.label_names = [str(name) for name in getattr(self._data, "label_names", None) or ()]
        if not self.label_names:
            raise UserError("A TokenClassifier needs a data module that names the tags: give one with `label_names`.")
        super()._build()
