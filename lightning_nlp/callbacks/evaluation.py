"""Each validation of a training, and its test, as a record in the run's directory that all viewers read."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import torch
from lightning import Callback, LightningModule, Trainer
from torch import Tensor

from lightning_nlp.atomic_files import write_tensors, write_whole
from lightning_nlp.callbacks.best_checkpoint import BestCheckpoint
from lightning_nlp.errors import UserError, warn_user
from lightning_nlp.evaluation import counted
from lightning_nlp.evaluation.groups import continues_a_word
from lightning_nlp.evaluation.probes import fill
from lightning_nlp.evaluation.proof import evidence
from lightning_nlp.evaluation.records import RECORDS, mlm_record, plain
from lightning_nlp.evaluation.words import mistakes
from lightning_nlp.tasks import TASKS

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
        self.folder = folder
        self.best = best
        self.probes = probes or []
        self._parts: list[dict[str, Tensor]] = []
        self._samples: list[tuple[Any, dict[str, Tensor]]] = []
        self._tokens: tuple[np.ndarray, np.ndarray] | None = None

    def on_fit_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Refuse a monitor that only another task logs, now that the data have decided which one this is."""
        task = TASKS.get(getattr(pl_module, "task", ""))
        callbacks: list[Callback] = trainer.callbacks  # type: ignore[attr-defined]
        monitors = {str(getattr(callback, "monitor", None)) for callback in callbacks}
        if task and (
            wrong := monitors & {name for other in TASKS.values() for name in other.monitors} - {*task.monitors}
        ):
            known = ", ".join(f"{name} (mode {mode})" for name, mode in task.monitors.items())
            raise UserError(
                f"The task of these data is {task.title}, which logs no {' or '.join(sorted(wrong))}: give "
                f"--checkpoint.monitor and --early_stopping.monitor one of {known}."
            )

    def on_validation_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Begin; a validation that was broken off leaves nothing."""
        self._parts, self._samples = [], []

    on_test_start = on_validation_start

    def on_validation_batch_end(
        self,
        trainer: Trainer,
        pl_module: LightningModule,
        outputs: Any,
        batch: Any,
        batch_idx: int,
        dataloader_idx: int = 0,
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

    on_test_batch_end = on_validation_batch_end

    def on_validation_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Write the record, and if it is the best so far the predictions."""
        self._write(trainer, pl_module, "val")

    def on_test_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Write the record, with the worst mistakes."""
        self._write(trainer, pl_module, "test")

    def _write(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        if trainer.sanity_checking or trainer.fast_dev_run:  # type: ignore[attr-defined]
            return
        (parts, self._parts), (samples, self._samples) = (self._parts, []), (self._samples, [])
        found = joined(parts, trainer)
        if not found or not trainer.is_global_zero:
            return
        data: Any = trainer.datamodule  # type: ignore[attr-defined]
        record: dict[str, Any] = {
            "task": pl_module.task,
            "stage": stage,
            "step": trainer.global_step,
            "epoch": trainer.current_epoch,
            "metrics": {
                name.removeprefix(f"{stage}/"): float(value)
                for name, value in sorted(trainer.callback_metrics.items())
                if name.startswith(f"{stage}/")
            },
        }
        name = f"val-{trainer.global_step:08d}" if stage == "val" else "test"
        found = by_row(found) if "logits" in found else found
        if stage == "test" or self.best.would_take(trainer):
            network: Any = pl_module.network
            kind = getattr(network.config, "problem_type", None)
            proof = evidence(samples, kind, float(getattr(getattr(pl_module, "problem", None), "std", 1.0)))
            self._write_predictions(name, found if "logits" in found else {}, proof)
        if "logits" in found:
            labels = [str(label) for label in data.label_names]
            validated = self._validated(labels, trainer.global_step) if stage == "test" else None
            of_task = RECORDS[str(pl_module.task)]
            record |= of_task(found["logits"], found["labels"], found["lengths"], labels, validated)
            if record.get("constant"):
                warn_user(f"All labels of {stage} are equal: R2 and correlations are not defined, and given as 0.")
            record["metrics"] |= {name: record.pop(name) for name in ("ece", "brier") if name in record}
            if stage == "test" and "confusion" in record:
                record["mistakes"] = mistakes(pl_module.network, data.tokenizer, data.token_rows["test"], found, labels)
        elif "predictions" in found:
            from lightning_nlp.evaluation.tags import tags_record, wrong_sentences

            labels = [str(label) for label in data.label_names]
            record |= tags_record(found, labels)
            if stage == "test":
                record["wrong"] = wrong_sentences(data.tokenizer, data.token_rows["test"], found, labels)
        else:
            record |= mlm_record(found.pop("targets"), found, *self._vocabulary(data))
            record["probes"] = fill(pl_module.network, data.tokenizer, self.probes)
        record = plain(record)
        write_whole(self.folder / f"{name}.json", json.dumps(record, ensure_ascii=False))
        for logger in trainer.loggers:
            if hasattr(logger, "log_evaluation"):
                logger.log_evaluation(record)

    def _vocabulary(self, data: Any) -> tuple[np.ndarray, np.ndarray]:
        """How often each token occurs in train, and whether it continues a word."""
        if self._tokens is None:
            vocabulary = data.tokenizer.convert_ids_to_tokens(range(len(data.tokenizer)))
            continues = continues_a_word(vocabulary, set(data.tokenizer.all_special_tokens))
            self._tokens = data.token_rows["train"].id_counts(len(data.tokenizer)), continues
        return self._tokens

    def _write_predictions(self, name: str, found: dict[str, np.ndarray], proof: dict[str, Tensor]) -> None:
        """Write them; those of a validation replace an earlier one's."""
        tensors = {key: torch.from_numpy(values).contiguous() for key, values in found.items()}
        tensors |= {f"proof/{key}": values for key, values in proof.items()}
        write_tensors(self.folder / f"{name}.safetensors", tensors)
        for path in self.folder.glob("val-*.safetensors"):
            if name.startswith("val-") and path.stem != name:
                path.unlink(missing_ok=True)

    def _validated(self, labels: list[str], step: int) -> dict[str, Any]:
        """The tested weights' record on validation: what was fitted or chosen on the test itself would flatter."""
        for path in self.folder.glob("val-*.safetensors"):
            record, chosen = path.with_suffix(".json"), self.best.best_model_score is not None
            if record.is_file() and (chosen or path.stem == f"val-{step:08d}"):  # else the last weights are tested
                found: dict[str, Any] = json.loads(record.read_text(encoding="utf-8"))
                return found
        return {"calibration": {"temperature": 1.0}, "by_class": [{} for _ in labels]}


def by_row(found: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Predictions in the order of the split's rows, whatever the batches and the processes were.

    Fillers are left out, and so are examples whose logits are not finite (they have no probabilities; the
    loss shows them).

    Args:
        found: `logits`, `labels`, `rows` and `lengths`.
    """
    real = counted(found["labels"]) & np.isfinite(found["logits"]).all(axis=1)
    order = np.argsort(found["rows"][real], kind="stable")
    kinds = {"logits": np.float32, "labels": found["labels"].dtype, "rows": np.int64, "lengths": np.int32}
    return {name: found[name][real][order].astype(kind) for name, kind in kinds.items()}


def joined(parts: list[dict[str, Tensor]], trainer: Trainer) -> dict[str, np.ndarray]:
    """What the steps of all processes returned."""
    found = {name: torch.cat([part[name] for part in parts]).cpu() for name in parts[0]} if parts else {}
    if trainer.world_size > 1:
        every: list[Any] = [None] * trainer.world_size
        torch.distributed.all_gather_object(every, found)
        every = [part for part in every if part]
        found = {name: torch.cat([part[name] for part in every]) for name in every[0]} if every else {}
    return {name: values.numpy() for name, values in found.items()}
