"""Packed against padded batches in 16 bits, for each proven architecture: `gpu.py`'s part b."""

from __future__ import annotations

import tempfile
from argparse import Namespace
from collections.abc import Iterator
from itertools import product
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from isolated import Row, attempt, row
from lightning_clock import time_steps
from token_data import TokenData, Vocabulary, make_batch, random_groups
from torch import Tensor

from lightning_nlp.models import packing
from lightning_nlp.models.encoder import set_dropout
from lightning_nlp.models.heads import masked_positions

DTYPES = {"bf16": torch.bfloat16, "fp16": torch.float16}
# How far apart packed and padded may be, as a share of the whole. Both round every product, and add in different
# orders: on a CPU they are up to 1.4 eps apart, as far as either is from float32. Where attention reaches into the next
# sequence it is 3 to 19 eps.
BOUND = {name: 3 * torch.finfo(dtype).eps for name, dtype in DTYPES.items()}

LENGTHS = (140, 31, 17, 9, 9, 9, 4, 3)  # longest first, as in all packed batches; with a run of equal ones
WORDS = 500
CLASSES = ["a", "b", "c"]
PAD = 1
SIZES = {
    **{"vocab_size": WORDS, "hidden_size": 64, "num_hidden_layers": 3, "num_attention_heads": 4},
    **{"intermediate_size": 128, "hidden_dim": 128, "max_position_embeddings": 160, "pad_token_id": PAD},
    **{"cls_token_id": 2, "sep_token_id": 3, "bos_token_id": 2, "eos_token_id": 3},
}
LOSS_SCALE = {"bf16": 1.0, "fp16": 1024.0}  # small gradients would be 0 in fp16


def small_network(model_type: str, task: str) -> Any:
    """A random network without dropout, whose weights are large enough for attention to matter; task "mlm" or "cls"."""
    from transformers import AutoConfig, AutoModelForMaskedLM, AutoModelForSequenceClassification

    auto_class = AutoModelForMaskedLM if task == "mlm" else AutoModelForSequenceClassification
    labels = {"id2label": dict(enumerate(CLASSES)), "label2id": {name: i for i, name in enumerate(CLASSES)}}
    config = AutoConfig.for_model(model_type, **SIZES, **labels)  # with other labels each training draws a new head
    if hasattr(config, "classifier_pooling"):
        config.classifier_pooling = "cls"
    set_dropout(config, 0.0, 0.0)
    torch.manual_seed(0)
    network = auto_class.from_config(config, dtype=torch.float32).train()
    with torch.no_grad():
        for parameter in network.parameters():
            if parameter.ndim == 2:
                parameter.mul_(5)
    return network


def random_batches(task: str, number: int) -> list[Any]:
    """Groups of random sequences, as `make_batch` takes them."""
    return random_groups(LENGTHS, WORDS, number, classes=None if task == "mlm" else len(CLASSES))


def measure(network: Any, batch: dict[str, Any], name: str | None) -> dict[str, Tensor]:
    """Logits, loss and gradients of one batch, each as one vector; by autocast to "bf16" or "fp16", or in float32."""
    scale, labels = LOSS_SCALE[name] if name else 1.0, batch["labels"]
    network.zero_grad()
    positions = masked_positions(labels)
    with torch.autocast(labels.device.type, DTYPES[name] if name else torch.bfloat16, enabled=name is not None):
        of_tokens = labels.shape == batch["input_ids"].shape
        logits = packing.forward(network, batch, positions if of_tokens else None).float()
    loss = F.cross_entropy(logits, labels.flatten().index_select(0, positions))
    (scale * loss).backward()
    gradients = [p.grad.flatten() for p in network.parameters() if p.grad is not None]
    return {
        "logits": logits.detach().flatten(),
        "loss": loss.detach()[None],
        "gradients": torch.cat(gradients) / scale,
    }


def apart(one: Tensor, other: Tensor) -> float:
    """The length of the difference of two vectors, as a share of the second's."""
    return float((one.double() - other.double()).norm() / other.double().norm())


def single_batch(model_type: str, task: str, device: str, name: str) -> dict[str, dict[str, float]]:
    """How far apart the two are on one batch: `packed` from `padded` in 16 bits, and this from float32 (`rounding`)."""
    network = small_network(model_type, task).to(device)
    (group,) = random_batches(task, 1)
    batches = {packs: make_batch(*group, packs=packs, pad_token_id=PAD) for packs in (False, True)}
    for batch in batches.values():
        batch.update({key: value.to(device) for key, value in batch.items() if isinstance(value, Tensor)})
    exact, padded = measure(network, batches[False], None), measure(network, batches[False], name)
    packing.enable(network)
    packed = measure(network, batches[True], name)
    return {
        "packed": {key: apart(packed[key], padded[key]) for key in packed},
        "rounding": {key: apart(padded[key], exact[key]) for key in packed},
    }


def trainings(model_type: str, task: str, device: str, name: str, steps: int, folder: Path) -> float:
    """How far apart the losses of two trainings are that differ in packing alone; `folder` takes the weights."""
    from lightning_nlp.models.classification import SequenceClassifier
    from lightning_nlp.models.mlm import MaskedLanguageModel

    small_network(model_type, task).save_pretrained(folder)
    module_class = MaskedLanguageModel if task == "mlm" else SequenceClassifier
    settings = {"dropout": 0.0, "attention_dropout": 0.0, "lr": 1e-3, "schedule": "constant", "warmup_ratio": 0.0}
    precision, losses = {"bf16": "bf16-mixed", "fp16": "16-mixed"}[name], []
    for packs in (True, False):
        data = TokenData(
            random_batches(task, 2) * (steps // 2),
            tokenizer=Vocabulary(WORDS, PAD),
            max_length=max(LENGTHS),
            label_names=CLASSES,
            packing=packs,
        )
        module = module_class(pretrained=str(folder), **settings)
        losses.append(torch.tensor(time_steps(module, data, device, precision=precision)["losses"]))
    return apart(*losses)


def packed_against_padded(options: Namespace) -> Iterator[Row]:
    """Each architecture, task and 16-bit format: one batch, and a training."""
    for model_type, task, name in product(packing.PROVEN, ("mlm", "cls"), DTYPES):
        what = f"{model_type}, {task}, {name}"
        yield attempt(what, lambda: compare(what, model_type, task, name, options))  # noqa: B023


def compare(what: str, model_type: str, task: str, name: str, options: Namespace) -> Row:
    """How far apart, and whether that is rounding."""
    bound = BOUND[name]
    found = single_batch(model_type, task, options.device, name)
    distances, steps = dict(found["packed"]), 2 if options.tiny else 10
    if options.device == "cpu" and name == "fp16":
        note = f"; {steps} steps left out: Lightning has no fp16 on a CPU"
    else:
        with tempfile.TemporaryDirectory() as folder:
            distances[f"{steps} losses"] = trainings(model_type, task, options.device, name, steps, Path(folder))
        note = ""
    within = all(distance <= bound for distance in distances.values())  # not so for NaN
    text = ", ".join(f"{key} {distance:.1e}" for key, distance in distances.items())
    rounding = max(found["rounding"].values())
    text += f"; {'within' if within else '**beyond**'} {bound:.1e} (padded from float32: {rounding:.1e}){note}"
    return row(what, text, distances=distances, rounding=found["rounding"], bound=bound, within=within)
