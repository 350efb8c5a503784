"""Each validation of a training, and its test, as a record in the run's directory that all viewers read."""

from pathlib import Path
from typing import Any

from lightning import Callback, LightningModule, Trainer
from torch import Tensor

from lightning_nlp.callbacks.best_checkpoint import BestCheckpoint

SAMPLED = 64  # the evidence comes from at least this many batches, if there are as many


class Evaluation(Callback):
    """Writes `val-<step>.json` after each validation and `test.json` after the test, and hands them to the loggers.

    Outputs of validation_step and test_step stay on their device until the end of the split. A logger with a method
    `log_evaluation` gets each record. Safetensors beside the records of the test and of the best validation have a
    classifier's `logits`, `labels`, `rows` of the split and `lengths` in tokens, and as `proof/...` the `evidence` that
    an export must agree with. Records contain no times: a resumed training writes the same.

    Args:
        probes: Sentences with [MASK] that a masked language model fills at each evaluation.
    """

    def __init__(self, folder: Path, best: BestCheckpoint, probes: list[str] | None = None) -> None:
        self.folder, self.best, self.probes = folder, best, probes or []
        self._parts: list[dict[str, Tensor]] = []
        self._samples: list[tuple[Any, dict[str, Tensor]]] = []

    def on_validation_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Begin; a validation that was broken off leaves nothing."""
        self._parts, self._samples = [], []

    on_test_start = on_validation_start

    def on_validation_batch_end(
        self, trainer: Trainer, pl_module: LightningModule, outputs: Any, batch: Any, batch_idx: int, *_: Any
    ) -> None:
        """Keep what the step returned."""
        if not isinstance(outputs, dict):  # a user's own module
            return
        batches = trainer.num_test_batches if trainer.testing else trainer.num_val_batches
        if batch_idx % max(1, min(sum(batches), 2**31) // SAMPLED) == 0:
            self._samples.append((batch, outputs))
        part = dict(outputs)
        if "logits" in part:
            part["rows"] = batch["rows"]
            part["lengths"] = batch["cu_seqlens"].diff() if "cu_seqlens" in batch else batch["attention_mask"].sum(1)
        self._parts.append(part)

    on_test_batch_end = on_validation_batch_end  # type: ignore[assignment]

    def on_validation_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Write the record, and the predictions of a test or of the best validation so far."""
        if trainer.sanity_checking or trainer.fast_dev_run:  # type: ignore[attr-defined]
            return
        from lightning_nlp.evaluation import writing

        (parts, self._parts), (samples, self._samples) = (self._parts, []), (self._samples, [])
        found = writing.joined(parts, trainer.world_size)
        if not found or not trainer.is_global_zero:
            return
        step = trainer.global_step
        stage, name = ("test", "test") if trainer.testing else ("val", f"val-{step:08d}")
        logged = sorted(trainer.callback_metrics.items())
        metrics = {key.removeprefix(f"{stage}/"): float(value) for key, value in logged if key.startswith(f"{stage}/")}
        record = {"task": pl_module.task, "stage": stage, "step": step, "epoch": trainer.current_epoch}
        if trainer.testing or self.best.would_take(trainer):
            writing.write_predictions(self.folder / f"{name}.safetensors", found, samples, pl_module)
        path, chosen = self.folder / f"{name}.json", self.best.best_model_score is not None
        record = writing.write_record(path, record | {"metrics": metrics}, found, pl_module, self.probes, chosen)
        for logger in trainer.loggers:
            if hasattr(logger, "log_evaluation"):
                logger.log_evaluation(record)

    on_test_end = on_validation_end
