"""Some texts of an evaluation and what the network made of them, which its export must make of them too."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

TEXTS, TOKENS = 256, 16_384


def evidence(kept: list[tuple[dict[str, Any], dict[str, Tensor]]]) -> dict[str, Tensor]:
    """At most `TEXTS` texts, of about `TOKENS` tokens at most, evenly spread over some batches.

    Args:
        kept: Batches, padded or packed, each with what a module's validation_step returned for it: `logits`, or `loss`
            of the masked tokens.

    Returns:
        `input_ids` (tokens,) of the texts one after the other, `lengths` (texts,), and `log_probabilities`: of the
        classes (texts, classes), or of the true tokens (masked tokens,), which `targets` (tokens,) has, and else -100.
    """
    ids: list[Tensor] = []
    targets: list[Tensor] = []
    found: list[Tensor] = []
    for batch, outputs in kept:
        mask = batch["attention_mask"] if "attention_mask" in batch else torch.ones_like(batch["input_ids"])
        lengths = (batch["cu_seqlens"].diff() if "cu_seqlens" in batch else mask.sum(1)).tolist()
        ids += batch["input_ids"][mask.bool()].split(lengths)
        if "logits" in outputs:
            found += outputs["logits"].float().log_softmax(-1).split(1)
        else:
            masked = batch["labels"][mask.bool()].split(lengths)
            found += (-outputs["loss"]).split([int((labels >= 0).sum()) for labels in masked])
            targets += masked
    every = max(-(-len(ids) // TEXTS), -(-sum(map(len, ids)) // TOKENS))
    columns = {"input_ids": ids, "log_probabilities": found} | ({"targets": targets} if targets else {})
    lengths = torch.tensor([len(text) for text in ids[::every]])
    return {"lengths": lengths} | {name: torch.cat(parts[::every]).cpu() for name, parts in columns.items()}
