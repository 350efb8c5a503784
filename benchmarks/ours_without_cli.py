"""Contender d where the command line cannot be had (no `datasets`, no jsonargparse): the same module and settings.

The LightningModule, its packing, optimizer and precision are those of `train.py fit`; only the batches are made here,
in random order within the configuration's token budget, before the clock starts.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import torch
import yaml
from lightning import seed_everything
from lightning_clock import Clock
from token_data import TokenData, train
from transformers import AutoTokenizer

from lightning_nlp.data.batches.masking import mask_tokens

ENDLESS = 10_000  # epochs


def train_job(job: dict[str, Any], job_file: str) -> None:
    """Train as the job says.

    Args:
        job: What `vs_trainer.py` wrote.
        job_file: Where it lies.
    """
    assert not job["overrides"], f"only the command line takes {job['overrides']}"
    config = yaml.safe_load((Path(__file__).parent.parent / "configs" / f"{job['task']}.yaml").read_text())
    settings = config["model"]["init_args"] | {"pretrained": str(Path(job["prepared"]) / "model"), "lr": job["lr"]}
    if not job["until"]:
        settings |= {"schedule": "constant", "warmup_ratio": 0.0}
    seed_everything(job["seed"], verbose=False)
    clock = Clock(job_file)
    clock.facts["through"] = "trainer"
    torch.set_float32_matmul_precision("high")
    module, data = module_class(job["task"])(**settings), text_data(job, config["data"]["init_args"])
    train(module, data, clock, device=job["device"], max_epochs=1 if job["until"] else ENDLESS)


def module_class(task: str) -> Any:
    """The LightningModule of a task."""
    from lightning_nlp.models.classification import SequenceClassifier
    from lightning_nlp.models.mlm import MaskedLanguageModel

    return MaskedLanguageModel if task == "mlm" else SequenceClassifier


def text_data(job: dict[str, Any], settings: dict[str, Any]) -> TokenData:
    """The prepared texts in batches of the configuration's size; with `until` those of all epochs in turn."""
    folder = Path(job["prepared"])
    tokenizer = AutoTokenizer.from_pretrained(folder / "model")
    rows = [json.loads(line) for line in (folder / "texts" / "train.jsonl").read_text(encoding="utf-8").splitlines()]
    encoded = tokenizer([row["text"] for row in rows], truncation=True, max_length=job["max_length"])["input_ids"]
    sequences = [np.array(ids) for ids in encoded]
    names = sorted({str(row["label"]) for row in rows}) if job["task"] == "cls" else []
    budget = settings.get("tokens_per_batch")
    groups: list[tuple[list[np.ndarray], list[Any]]] = []
    for epoch in range(job["epochs"] if job["until"] else 1):
        seed = job["seed"] + epoch
        inputs, labels = sequences, [names.index(str(row["label"])) for row in rows] if names else []
        if not names:
            inputs, labels = masked(sequences, tokenizer, seed)
        used = budget or settings["batch_size"]  # full: the epoch begins with a new batch
        for row in np.random.default_rng(seed).permutation(len(inputs)):
            size = len(inputs[row]) if budget else 1
            if used + size > (budget or settings["batch_size"]):
                groups.append(([], []))
                used = 0
            groups[-1][0].append(inputs[row])
            groups[-1][1].append(labels[row])
            used += size
    return TokenData(groups, tokenizer=tokenizer, max_length=job["max_length"], label_names=names)


def masked(sequences: list[np.ndarray], tokenizer: Any, seed: int) -> tuple[list[np.ndarray], list[Any]]:
    """Sequences with hidden tokens, and the labels."""
    special = torch.tensor(sorted(tokenizer.all_special_ids))
    vocabulary = torch.arange(len(tokenizer))
    flat = torch.from_numpy(np.concatenate(sequences))
    ids, labels = mask_tokens(
        flat,
        torch.rand(3, len(flat), generator=torch.Generator().manual_seed(seed)),
        special_ids=special,
        word_ids=vocabulary[~torch.isin(vocabulary, special)],
        mask_token_id=tokenizer.mask_token_id,
    )
    cuts = np.cumsum([len(sequence) for sequence in sequences])[:-1]
    return np.split(ids.numpy(), cuts), np.split(labels.numpy(), cuts)
