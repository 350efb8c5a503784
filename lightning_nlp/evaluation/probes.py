"""Fills the masks of probe sentences at each evaluation, to show what a masked language model has learned."""

from typing import Any

import torch
from torch import Tensor

MASK = "[MASK]"  # as users write it, whatever the tokenizer's own mask is


def fill(network: Any, tokenizer: Any, probes: list[str], top_k: int = 5) -> list[dict[str, Any]]:
    """Each probe's `text` and the `fillings` of its masks; `network` is a masked LM in evaluation mode."""
    records = []
    for text in probes:
        encoded = tokenizer(text.replace(MASK, tokenizer.mask_token), truncation=True, return_tensors="pt")
        ids, mask = (encoded[name].to(network.device) for name in ("input_ids", "attention_mask"))
        with torch.inference_mode():
            logits = network(input_ids=ids, attention_mask=mask).logits[0]
        holes = logits[ids[0] == tokenizer.mask_token_id].float().cpu()
        records.append({"text": text, "fillings": [fillings(hole, tokenizer, top_k) for hole in holes]})
    return records


def fillings(logits: Tensor, tokenizer: Any, top_k: int) -> list[dict[str, Any]]:
    """The likeliest tokens from one mask's logits, (vocabulary,): each with its `token` and `probability`."""
    best = logits.softmax(-1).topk(min(top_k, len(logits)))
    # decoded, because a byte-level vocabulary writes " ĝis" as "ĠÄĿis"
    tokens = [tokenizer.decode([i]) for i in best.indices.tolist()]
    return [{"token": token, "probability": p} for token, p in zip(tokens, best.values.tolist(), strict=True)]
