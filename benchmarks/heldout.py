"""The held-out measurement that every contender goes through: the same examples, masks, batches and precision."""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F

BATCH = 32


class HeldOut:
    """Loss at fixed masks, or accuracy, computed by a network of its own with the contender's current weights.

    A second network, plain padded transformers, keeps the measurement independent of how a contender computes. The
    job's `overrides`, arguments of ours, may set a truncation, which then holds for its held-out texts too.
    """

    def __init__(self, job: dict[str, Any]) -> None:
        from transformers import AutoModelForMaskedLM, AutoModelForSequenceClassification

        folder = Path(job["prepared"])
        self.job = job
        auto_class = AutoModelForMaskedLM if job["task"] == "mlm" else AutoModelForSequenceClassification
        self.network = auto_class.from_pretrained(folder / "model", dtype=torch.float32).to(job["device"]).eval()
        lines = (folder / "heldout.jsonl").read_text(encoding="utf-8").splitlines()
        rows = [json.loads(line) for line in lines]
        self._cut_as_trained(rows)
        rows.sort(key=lambda row: -len(row["input_ids"]))
        self.batches = [self._collate(rows[i : i + BATCH]) for i in range(0, len(rows), BATCH)]

    def _cut_as_trained(self, rows: list[dict[str, Any]]) -> None:
        parser = argparse.ArgumentParser()
        parser.add_argument("--data.truncation", dest="truncation", default="head")
        parser.add_argument("--data.max_length", dest="max_length", type=int, default=self.job["max_length"])
        chosen, _ = parser.parse_known_args(self.job["overrides"])
        if self.job["task"] == "mlm" or (chosen.truncation == "head" and chosen.max_length == self.job["max_length"]):
            return
        from transformers import AutoTokenizer

        from lightning_nlp.data.tokens.encoding import encode

        tokenizer = AutoTokenizer.from_pretrained(Path(self.job["prepared"]) / "model")
        texts = [row["text"] for row in rows]
        ids, _, _ = encode(texts, tokenizer, max_length=chosen.max_length, truncation=chosen.truncation)
        for row, row_ids in zip(rows, ids, strict=True):
            row["input_ids"] = row_ids

    def _collate(self, rows: list[dict[str, Any]]) -> dict[str, torch.Tensor]:
        def padded(sequences: list[list[int]], value: int) -> torch.Tensor:
            tensors = [torch.tensor(sequence) for sequence in sequences]
            return torch.nn.utils.rnn.pad_sequence(tensors, batch_first=True, padding_value=value)

        ids = [row["input_ids"] for row in rows]
        labels = [row["labels"] for row in rows]
        return {
            "input_ids": padded(ids, self.network.config.pad_token_id or 0),
            "attention_mask": padded([[1] * len(sequence) for sequence in ids], 0),
            "labels": padded(labels, -100) if self.job["task"] == "mlm" else torch.tensor(labels),
        }

    def measure(self, network: Any) -> float:
        """The mean cross-entropy of the masked tokens, or the accuracy, with another network's weights."""
        from lightning_nlp.models import packing

        self.network.load_state_dict(network.state_dict())
        device, mlm = self.job["device"], self.job["task"] == "mlm"
        total, number = 0.0, 0
        with torch.inference_mode(), torch.autocast(device, torch.bfloat16, enabled=self.job["bf16"]):
            for batch in self.batches:
                inputs = {name: tensor.to(device) for name, tensor in batch.items()}
                labels = inputs.pop("labels").flatten()
                if mlm:
                    positions = (labels != -100).nonzero().squeeze(1)
                    logits = packing.forward(self.network, inputs, positions).float()
                    labels = labels[positions]
                    total += float(F.cross_entropy(logits, labels, reduction="sum"))
                else:
                    total += int((self.network(**inputs).logits.argmax(dim=-1) == labels).sum())
                number += len(labels)
        return total / number
