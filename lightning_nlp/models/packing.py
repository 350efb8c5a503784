"""Runs an unmodified Hugging Face encoder on a packed batch: sequences end to end, without padding between them.

transformers passes a network's keyword arguments down to its attention function, which a library may register. Ours is
told where sequences begin and end, so no token attends across a boundary; the other layers see each token alone.
"""

from collections.abc import Mapping
from functools import partial
from typing import Any

import torch
import torch.nn.functional as F
from lightning.pytorch.utilities import rank_zero_info
from torch import Tensor, nn

from lightning_nlp.errors import UserError
from lightning_nlp.evaluation import takes_token_types
from lightning_nlp.models.architectures import ATTENTION_DROPOUT_NAMES, POSITIONS_AFTER_PADDING
from lightning_nlp.models.attention import attention, layout_of

# tests/models/test_packing.py shows that packed and padded batches give these the same logits and gradients.
# Others may not pass keyword arguments down (DeBERTa and MPNet do not) or may use positions elsewhere.
PROVEN = ("distilbert", "bert", "roberta", "xlm-roberta", "camembert", "electra", "modernbert", "albert")

FLASH = "variable-length flash attention"
NAME = "lightning_nlp_packed"
FIRST_TOKENS = "ForSequenceClassification"  # heads that read the first token of a sequence

# On a CPU a packed batch is rounded up to a multiple of this many tokens, so that batches filled to a budget
# have one size, and reuse the memory of the last (benchmarks/README.md).
ROUND = 64


def choose(network: Any, data: Any, trainer: Any) -> None:
    """Decide whether batches are packed, tell the user and the data module, and prepare the network.

    Args:
        data: `packing` is True (a UserError where that is not possible), False, or "auto", which packs where that is
            proven; `packed` is set to the answer. A user's own without `packing` has padded batches.
    """
    if getattr(data, "packing", False) is False:
        return
    device = trainer.strategy.root_device
    reason = why_not(network, device=device, precision=str(trainer.precision))
    packed = reason is None
    known = (is_enabled(network), getattr(data, "packed", None)) == (packed, packed)
    if packed:
        enable(network)
        line = f"packed, without padding: {network.config.model_type} on {device.type}."
    elif data.packing is True:
        raise UserError(f"Batches cannot be packed: {reason}; give --data.packing auto or false.")
    else:
        line = f"padded, in groups of similar length: {reason}."
    if not known:  # the test after a training decides again
        rank_zero_info(f"Batches are {line}")
    data.packed = packed


def why_not(network: Any, *, device: torch.device, precision: str) -> str | None:
    """Why a network cannot take packed batches on a device, with Lightning's `precision`; None if it can."""
    config = network.config
    if config.model_type not in PROVEN:
        return f"packing is not proven for a {config.model_type} model ({', '.join(PROVEN)} can)"
    if FIRST_TOKENS in type(network).__name__ and getattr(config, "classifier_pooling", "cls") != "cls":
        return f"this {config.model_type} model's classifier takes the mean over a padded row"
    if device.type == "cuda":
        if (found := torch.cuda.get_device_capability(device)) < (8, 0):  # Ampere; a T4 has 7.5, a V100 7.0
            return f"{FLASH} needs compute capability 8.0, and this GPU has {found[0]}.{found[1]}"
        if "16" not in precision:
            return f"{FLASH} needs 16 bits, and the precision is {precision}"
        if any(getattr(config, name, None) for name in ATTENTION_DROPOUT_NAMES):
            return f"{FLASH} has no dropout: --model.attention_dropout 0 does without"
    elif device.type != "cpu":
        return f"packing is not proven on {device.type}"
    return None


def is_enabled(network: Any) -> bool:
    """Whether `enable` has prepared a network."""
    return getattr(network, "takes_packed_batches", False)


def enable(network: Any) -> None:
    """Let a network of a `PROVEN` architecture take packed batches too; padded ones stay on SDPA."""
    from transformers import AttentionInterface
    from transformers.masking_utils import AttentionMaskInterface, sdpa_mask

    if is_enabled(network):
        return
    AttentionInterface.register(NAME, attention)
    AttentionMaskInterface.register(NAME, sdpa_mask)
    network.set_attn_implementation(NAME)
    network.base_model.register_forward_hook(select_rows, with_kwargs=True)
    network.takes_packed_batches = True  # not in the configuration, which networks may share


def forward(network: Any, batch: dict[str, Any], head_rows: Tensor | None = None) -> Tensor:
    """A network's logits for a padded or a packed batch.

    Args:
        batch: `input_ids` with `attention_mask`, or with `position_ids`, `cu_seqlens` and `max_seqlen`; for pairs
            `token_type_ids` too, which a network without them ignores. A UserError if it is neither, or packed for
            a network that cannot compute it.
        head_rows: (n,) positions in the flattened batch for which the head is computed; None for all.

    Returns:
        (n, classes) for n sequences or `head_rows`. Of a head for each token, without `head_rows`, (B, T, classes);
        for a packed batch (1, T, classes), with a few rows more on a CPU.
    """
    if "cu_seqlens" in batch:
        inputs = _packed_inputs(network, batch)
    else:
        check_batch(batch, "input_ids", "attention_mask")
        inputs = _inputs(network, batch, "attention_mask")
    if head_rows is None:
        return network(**inputs).logits
    if is_enabled(network):
        return network(**{**inputs, "head_rows": head_rows}).logits.squeeze(1)
    # other architectures may not pass the argument down to their encoder
    hook = network.base_model.register_forward_hook(partial(select_rows, rows=head_rows), with_kwargs=True)
    try:
        return network(**inputs).logits.squeeze(1)
    finally:
        hook.remove()


def select_rows(encoder: Any, arguments: Any, keywords: dict[str, Any], output: Any, rows: Tensor | None = None) -> Any:
    """A forward hook on an encoder: its head gets only the rows that it needs, as (n, 1, width).

    A classifier needs the first token of each sequence, a token classifier that of each word; a masked language model
    the masked tokens, 15%, where its head costs about as much as all layers of a small encoder.
    """
    rows = keywords.get("head_rows", rows)
    if rows is None:
        return output
    hidden = output.last_hidden_state = output.last_hidden_state.flatten(0, 1).index_select(0, rows).unsqueeze(1)
    if output.get("pooler_output") is not None:
        pooler = encoder.pooler
        bare = isinstance(pooler, nn.Linear)  # ALBERT's; others take the first token, and activate, themselves
        output.pooler_output = encoder.pooler_activation(pooler(hidden[:, 0])) if bare else pooler(hidden)
    return output


def _packed_inputs(network: Any, batch: dict[str, Any]) -> dict[str, Any]:
    tokens, cu_seqlens = batch["input_ids"], batch["cu_seqlens"]
    if not is_enabled(network):  # `choose` was not called: a module from a checkpoint, or batches from a plain loader
        precision = "16" if torch.is_autocast_enabled(tokens.device.type) else str(network.dtype)
        if reason := why_not(network, device=tokens.device, precision=precision):
            raise UserError(f"The batch is packed, and cannot be computed: {reason}; give --data.packing false.")
        enable(network)
    inputs = _inputs(network, batch, "position_ids")
    if network.config.model_type in POSITIONS_AFTER_PADDING:
        inputs["position_ids"] = inputs["position_ids"] + network.config.pad_token_id + 1
    if not tokens.is_cuda:
        inputs = {name: F.pad(values, (0, -tokens.shape[1] % ROUND)) for name, values in inputs.items()}
    # transformers passes these down, to `attention` and to `select_rows`
    inputs["layout"] = layout_of(cu_seqlens, batch["max_seqlen"], inputs["input_ids"].shape[1])
    inputs["head_rows"] = cu_seqlens[:-1] if FIRST_TOKENS in type(network).__name__ else None
    inputs["attention_mask"] = tokens.new_empty(1, 1, 1, 1)  # with four dimensions transformers makes none
    return inputs


def _inputs(network: Any, batch: dict[str, Any], *names: str) -> dict[str, Any]:
    names += ("token_type_ids",) if "token_type_ids" in batch and takes_token_types(network) else ()
    return {name: batch[name] for name in ("input_ids", *names)}


def check_batch(batch: Any, *names: str) -> None:
    """Raise a UserError unless a batch, perhaps of a user's own loader, is a dict with these names."""
    if not (isinstance(batch, Mapping) and batch.keys() >= set(names)):
        raise UserError(
            f"A batch is a {type(batch).__name__} without {' or '.join(names)}: give a DataLoader of dicts with "
            "input_ids, attention_mask and, to train or measure, labels, or a data module."
        )
