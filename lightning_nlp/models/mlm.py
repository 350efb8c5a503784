"""Masked language modelling: an encoder that predicts masked tokens, its head computed on those alone."""

import math
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from lightning_nlp.errors import UserError
from lightning_nlp.models import encoder, packing
from lightning_nlp.models.encoder import Frozen
from lightning_nlp.models.heads import masked_positions
from lightning_nlp.models.losses import cross_entropy_sum
from lightning_nlp.models.measured import Stage, mean_metric
from lightning_nlp.models.module import EncoderModule
from lightning_nlp.training.schedules import Schedule

# exp(80) is 5e34: below the largest float32, above any meaningful perplexity
LARGEST_LOG_PERPLEXITY = 80.0


class LabelledTokens(EncoderModule):
    """An encoder whose head is computed only at the labelled tokens: masked ones, or the first piece of each word."""

    positions: str  # the batch's key for their positions, if present

    def forward(self, batch: dict[str, Tensor]) -> Tensor:
        """The logits at the labelled tokens.

        Returns:
            Float32, (number of labels other than -100, words or tags), row by row of the batch; without
            `labels`, those of all tokens of a padded batch, (B, T, words or tags).
        """
        if "labels" not in batch:
            return packing.forward(self.network, batch).float()
        return self.labelled(batch)[0].float()

    def labelled(self, batch: dict[str, Tensor]) -> tuple[Tensor, Tensor, Tensor]:
        """The logits (n, words or tags), labels (n,) and positions (n,) of a batch's n labelled tokens."""
        packing.check_batch(batch, "labels")
        # computed on the host by the collate function, since computing them here would wait for the device
        positions = batch[self.positions] if self.positions in batch else masked_positions(batch["labels"])
        logits = packing.forward(self.network, batch, head_rows=positions)
        return logits, batch["labels"].flatten().index_select(0, positions), positions

    def loss_terms(self, batch: dict[str, Tensor]) -> tuple[Tensor, Tensor]:
        """Cross-entropy; an empty sum is 0 but has a graph: it trains nothing, and DDP can continue."""
        logits, targets, _ = self.labelled(batch)
        return cross_entropy_sum(logits, targets), torch.full((), len(logits), device=logits.device)


class MaskedLanguageModel(LabelledTokens):
    """A text encoder trained to predict masked tokens.

    The tokenizer comes from the data module when the Trainer starts, or from a checkpoint with
    `load_from_checkpoint`; with `pretrained` your own DataLoader suffices. A batch is a dict of `input_ids`,
    `attention_mask` and `labels`, all (B, T), or packed (see `packing.forward`); labels are -100 except at
    masked tokens, and `masked`, if there, has the positions of those.

    Args:
        pretrained: A folder or a Hub id; null builds a new DistilBERT of the sizes below, which apply only then.
        freeze: Which part of a pretrained model is not trained: `embeddings`, those and the first N layers (a
            number), or the `encoder`, all but the head; null trains all.
        n_layers: Transformer layers.
        n_heads: Attention heads a layer.
        dim: Width of the hidden states.
        hidden_dim: Width of the feed-forward layers.
        max_position_embeddings: The longest sequence that the model accepts, in tokens.
        dropout: Rate on hidden states, the head's included; null leaves the model's own.
        attention_dropout: Rate on attention weights; null leaves the model's own. 0 allows the fused kernel,
            which on a CPU makes training 2.2 times as fast.
        lr: Peak learning rate.
        weight_decay: Decoupled weight decay of matrices and embeddings; biases and norms have none.
        schedule: The learning rate after the warmup: linear, cosine, constant, or wsd (warmup, stable, decay).
        warmup_ratio: Share of the optimizer steps in which the learning rate rises.
    """

    task = "mlm"
    positions = "masked"

    def __init__(
        self,
        *,
        pretrained: str | None = None,
        freeze: Frozen | None = None,
        n_layers: int = 6,
        n_heads: int = 12,
        dim: int = 768,
        hidden_dim: int = 3072,
        max_position_embeddings: int = 512,
        dropout: float | None = None,
        attention_dropout: float | None = 0.0,
        lr: float = 5e-4,
        weight_decay: float = 0.01,
        schedule: Schedule = "linear",
        warmup_ratio: float = 0.06,
    ) -> None:
        super().__init__()
        self.save_hyperparameters()
        encoder.check_settings(self.hparams)

    def evaluate(self, batch: dict[str, Tensor], stage: Stage) -> dict[str, Tensor]:
        """Add a batch's n masked tokens to a split's means; returns `targets`, `loss`, `top1` and `top5`, each (n,)."""
        logits, targets, _ = self.labelled(batch)
        logits = logits.float()
        best = logits.topk(min(5, logits.shape[-1])).indices == targets[:, None]
        figures = {
            "loss": F.cross_entropy(logits, targets, reduction="none"),
            "top1": best[:, 0],
            "top5": best.any(dim=-1),
        }
        if len(targets):
            for name, values in figures.items():
                self.metrics[name].update(values)
        return {"targets": targets, **figures}

    def new_metrics(self) -> dict[str, Any]:
        return {name: mean_metric() for name in ("loss", "top1", "top5")}

    def log_metrics(self, stage: Stage) -> None:
        """Log a split's means, and what follows from the loss."""
        metrics = self.metrics
        split = "validation" if stage == "val" else "test"
        # computing reduces over the ranks, so each logs the same value
        if not metrics["loss"].update_called and self.trainer.world_size == 1:
            raise UserError(
                f"Not one token of these {split} batches is masked: raise --trainer.limit_{stage}_batches or "
                "--data.mlm_probability."
            )
        values = {name: metric.compute() for name, metric in metrics.items()}
        values["perplexity"] = values["loss"].clamp(max=LARGEST_LOG_PERPLEXITY).exp()
        chars_per_token = (getattr(self._data, "chars_per_token", None) or {}).get(split)
        if chars_per_token:
            # nats a token -> bits a token -> bits a character: comparable between tokenizers
            values["bits_per_char"] = values["loss"] / math.log(2) / chars_per_token
        for name, value in values.items():
            self.log(f"{stage}/{name}", value, sync_dist=True)
