"""Runs an unmodified Hugging Face encoder on a packed batch: sequences end to end, without padding between them.

transformers lets a library register an attention function of its own. Ours knows where the sequences of the
batch begin and end, so that no token attends across a boundary; all else in an encoder works on each token
alone.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import torch
import torch.nn.functional as F
from lightning.pytorch import LightningModule
from lightning.pytorch.utilities import rank_zero_info
from torch import Tensor, nn

from lightning_nlp.errors import UserError
from lightning_nlp.models.attention import attention, attention_mask, sequences

# Where tests/models/test_packing.py shows that packed and padded batches give the same logits and gradients.
# Other architectures may ignore the attention interface (DeBERTa does) or hide positions elsewhere.
PROVEN = ("distilbert", "bert", "roberta", "electra", "modernbert")

# These count positions from pad_token_id + 1, so their position table has that many rows that no token uses.
POSITIONS_AFTER_PADDING = frozenset(
    "roberta roberta-prelayernorm xlm-roberta xlm-roberta-xl xmod camembert longformer mpnet data2vec-text".split()
)

FLASH_CAPABILITY = (8, 0)  # Ampere; a T4 has 7.5, a V100 7.0

NAME = "lightning_nlp_packed"
# The names under which the architectures keep the rate of dropout on attention weights.
ATTENTION_DROPOUT_NAMES = ("attention_dropout", "attention_probs_dropout_prob")

# On a CPU a packed batch is rounded up to a multiple of so many tokens. Filled to a budget, all batches then
# have one size, and the memory of one fits the next; else the process grows (benchmarks/README.md).
ROUND = 64


def choose(module: LightningModule) -> bool:
    """Decide whether a module's batches are packed, say so in one line, and prepare its network if they are.

    The data module's `packing` counts: True, False, or "auto": packed where that is proven, padded elsewhere.
    A data module without it gives padded batches.

    Args:
        module: A module with a transformers model as its `network`, attached to a Trainer.

    Raises:
        UserError: If packing is asked for where it cannot be had.
    """
    trainer: Any = module.trainer
    network: Any = module.network
    asked = getattr(trainer.datamodule, "packing", False)
    if asked is False:
        return False
    device = trainer.strategy.root_device
    reason = why_not(network, device=device, precision=str(trainer.precision))
    if reason is None:
        rank_zero_info(f"Batches are packed, without padding: {network.config.model_type} on {device.type}.")
        enable(network)
        return True
    if asked is True:
        raise UserError(f"Batches cannot be packed: {reason}; give --data.packing auto or false.")
    rank_zero_info(f"Batches are padded, in groups of similar length: {reason}.")
    return False


def why_not(network: Any, *, device: torch.device, precision: str) -> str | None:
    """What speaks against packed batches, or None.

    Args:
        device: Where it runs; a GPU is asked for its compute capability.
        precision: Lightning's `trainer.precision`.
    """
    config = network.config
    if config.model_type not in PROVEN:
        return f"packing is not proven for a {config.model_type} model ({', '.join(PROVEN)} can)"
    if hasattr(network, "classifier") and getattr(config, "classifier_pooling", "cls") != "cls":
        return f"this {config.model_type} model's classifier takes the mean over a padded row"
    if device.type == "cuda":
        if (capability := torch.cuda.get_device_capability(device)) < FLASH_CAPABILITY:
            found = ".".join(map(str, capability))
            return f"variable-length flash attention needs compute capability 8.0, and this GPU has {found}"
        if "16" not in precision:
            return f"variable-length flash attention needs 16 bits, and the precision is {precision}"
        if any(getattr(config, name, None) for name in ATTENTION_DROPOUT_NAMES):
            return "variable-length flash attention has no dropout: --model.attention_dropout 0 does without"
    elif device.type != "cpu":
        return f"packing is not proven on {device.type}"
    return None


def enable(network: Any) -> None:
    """Make a network of a `PROVEN` architecture run packed batches too; padded ones stay on SDPA."""
    from transformers import AttentionInterface
    from transformers.masking_utils import AttentionMaskInterface

    AttentionInterface.register(NAME, attention)
    AttentionMaskInterface.register(NAME, attention_mask)
    network.set_attn_implementation(NAME)


def forward(network: Any, batch: dict[str, Any]) -> Any:
    """A network's output for a padded or a packed batch.

    Args:
        network: A `...ForMaskedLM` or `...ForSequenceClassification`; the first packed batch `enable`s it.
        batch: `input_ids` with `attention_mask`, or with `position_ids`, `cu_seqlens` and `max_seqlen`.

    Returns:
        transformers' output. Its logits are (n, number of classes) for n sequences, in both forms; those of a
        masked language model are (1, tokens, vocabulary) for a packed batch, with a few rows more on a CPU.

    Raises:
        UserError: If the batch is neither, or packed for a network that cannot compute it.
    """
    if "cu_seqlens" not in batch:
        check_batch(batch, "input_ids", "attention_mask")
        return network(input_ids=batch["input_ids"], attention_mask=batch["attention_mask"])
    config, cu_seqlens = network.config, batch["cu_seqlens"]
    tokens, positions = batch["input_ids"], batch["position_ids"]
    if config._attn_implementation != NAME:  # nobody has chosen: a module out of a checkpoint, or a loader's batches
        precision = "16" if torch.is_autocast_enabled(tokens.device.type) else str(network.dtype)
        if reason := why_not(network, device=tokens.device, precision=precision):
            raise UserError(f"The batch is packed, and cannot be computed: {reason}; give --data.packing false.")
        enable(network)
    if config.model_type in POSITIONS_AFTER_PADDING:
        positions = positions + config.pad_token_id + 1
    if not tokens.is_cuda:
        outside = -tokens.shape[1] % ROUND
        tokens, positions = F.pad(tokens, (0, outside)), F.pad(positions, (0, outside))
    with sequences(cu_seqlens, batch["max_seqlen"], tokens.shape[1]), first_tokens(network, cu_seqlens):
        return network(input_ids=tokens, position_ids=positions)


def check_batch(batch: Any, *names: str) -> None:
    """Raise a UserError unless a batch is a dict of these names; one out of a loader of the user's own may be none."""
    if not (isinstance(batch, Mapping) and batch.keys() >= set(names)):
        raise UserError(
            f"A batch is a {type(batch).__name__} without {' or '.join(names)}: give a DataLoader of dicts with "
            "input_ids, attention_mask and, to train or measure, labels, or a data module."
        )


@contextmanager
def first_tokens(network: Any, cu_seqlens: Tensor) -> Iterator[None]:
    """Within this context a classifier's head is given (n, 1, width), the first token of each sequence.

    Its head takes row 0 of each example, and so works as it is. Other heads are left alone.
    """
    encoder = network.base_model
    starts = cu_seqlens[:-1]

    def after_encoder(module: nn.Module, arguments: Any, output: Any) -> Any:
        output.last_hidden_state = output.last_hidden_state[0].index_select(0, starts).unsqueeze(1)
        return output

    def before_pooler(module: nn.Module, arguments: tuple[Tensor]) -> tuple[Tensor]:
        return (arguments[0][0].index_select(0, starts).unsqueeze(1),)

    if not hasattr(network, "classifier"):
        yield
        return
    pooler = getattr(encoder, "pooler", None)  # BERT's belongs to the encoder, and takes the first token there
    if pooler is not None:
        hook = pooler.register_forward_pre_hook(before_pooler)
    else:
        hook = encoder.register_forward_hook(after_encoder)
    try:
        yield
    finally:
        hook.remove()
