"""Writes the results of an evaluation: a record that all viewers read, and the predictions themselves."""

import json
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from lightning_nlp.atomic_files import write_tensors, write_whole
from lightning_nlp.errors import warn_user
from lightning_nlp.evaluation import counted
from lightning_nlp.evaluation.groups import continues_a_word
from lightning_nlp.evaluation.probes import fill
from lightning_nlp.evaluation.proof import evidence
from lightning_nlp.evaluation.records import RECORDS, mlm_record, plain
from lightning_nlp.evaluation.tags import tags_record, wrong_sentences
from lightning_nlp.evaluation.words import mistakes


def write_record(
    path: Path, record: dict[str, Any], outputs: dict[str, np.ndarray], module: Any, probes: list[str], chosen: bool
) -> dict[str, Any]:
    """Complete an evaluation's record from the `joined` outputs, write it as JSON, and return it.

    Args:
        record: With `task`, `stage`, `step` and `metrics`.
        probes: Sentences for a masked language model.
        chosen: Whether a validation chose the tested weights; otherwise they are the last ones.
    """
    data, stage, testing = module.trainer.datamodule, record["stage"], record["stage"] == "test"
    labels = [str(label) for label in getattr(data, "label_names", ())]
    if "logits" in outputs:
        validated = _validated(path.parent, labels, record["step"], chosen) if testing else None
        record |= RECORDS[record["task"]](outputs["logits"], outputs["labels"], outputs["lengths"], labels, validated)
        if constant := " and all ".join(record.get("constant", ())):
            warn_user(f"All {constant} of {stage} are equal: correlations are undefined and reported as 0.")
        record["metrics"] |= {name: record.pop(name) for name in ("ece", "brier") if name in record}
        if testing:
            record["mistakes"] = mistakes(module.network, data.tokenizer, data.token_rows["test"], outputs, labels)
    elif "predictions" in outputs:
        record |= tags_record(outputs, labels)
        if testing:
            record["wrong"] = wrong_sentences(data.tokenizer, data.token_rows["test"], outputs, labels)
    else:
        record |= mlm_record(outputs.pop("targets"), outputs, *_vocabulary(data))
        record["probes"] = fill(module.network, data.tokenizer, probes)
    record = plain(record)
    write_whole(path, json.dumps(record, ensure_ascii=False))
    return record


def write_predictions(
    path: Path, outputs: dict[str, np.ndarray], samples: list[tuple[Any, dict[str, Tensor]]], module: Any
) -> None:
    """Write a classifier's predictions and the evidence; a validation's replace earlier ones."""
    kind = getattr(module.network.config, "problem_type", None)
    proof = evidence(samples, kind, float(getattr(getattr(module, "problem", None), "std", 1.0)))
    tensors = {key: torch.from_numpy(values).contiguous() for key, values in outputs.items() if "logits" in outputs}
    write_tensors(path, tensors | {f"proof/{key}": values for key, values in proof.items()})
    for other in path.parent.glob("val-*.safetensors"):
        if path.stem.startswith("val-") and other != path:
            other.unlink(missing_ok=True)


def joined(parts: list[dict[str, Tensor]], world_size: int) -> dict[str, np.ndarray]:
    """Join the outputs of all steps and processes, a classifier's `by_row`."""
    outputs = {name: torch.cat([part[name] for part in parts]).cpu() for name in parts[0]} if parts else {}
    if world_size > 1:
        every: list[Any] = [None] * world_size
        torch.distributed.all_gather_object(every, outputs)
        every = [part for part in every if part]
        outputs = {name: torch.cat([part[name] for part in every]) for name in every[0]} if every else {}
    arrays = {name: values.numpy() for name, values in outputs.items()}
    return by_row(arrays) if "logits" in arrays else arrays


def by_row(outputs: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Sort predictions by the split's rows, whatever the batches and processes were.

    Drops fillers, and examples with non-finite logits: they have no probabilities, and the loss shows them.

    Args:
        outputs: `logits`, `labels`, `rows` and `lengths`.
    """
    real = counted(outputs["labels"]) & np.isfinite(outputs["logits"]).all(axis=1)
    order = np.argsort(outputs["rows"][real], kind="stable")
    kinds = {"logits": np.float32, "labels": outputs["labels"].dtype, "rows": np.int64, "lengths": np.int32}
    return {name: outputs[name][real][order].astype(kind) for name, kind in kinds.items()}


def _validated(folder: Path, labels: list[str], step: int, chosen: bool) -> dict[str, Any]:
    """The tested weights' validation record: fitting or choosing on the test itself would flatter."""
    for path in folder.glob("val-*.safetensors"):
        record = path.with_suffix(".json")
        if record.is_file() and (chosen or path.stem == f"val-{step:08d}"):
            outputs: dict[str, Any] = json.loads(record.read_text(encoding="utf-8"))
            return outputs
    return {"calibration": {"temperature": 1.0}, "by_class": [{} for _ in labels]}


@lru_cache(maxsize=1)
def _vocabulary(data: Any) -> tuple[np.ndarray, np.ndarray]:
    """How often each token occurs in train, and whether it continues a word."""
    vocabulary = data.tokenizer.convert_ids_to_tokens(range(len(data.tokenizer)))
    continues = continues_a_word(vocabulary, set(data.tokenizer.all_special_tokens))
    return data.token_rows["train"].id_counts(len(data.tokenizer)), continues
