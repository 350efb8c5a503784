"""The Hugging Face network of a training: a new DistilBERT, or a pretrained encoder, that fits its data."""

import math
import os
from collections.abc import Mapping
from typing import Any, Literal

import torch

from lightning_nlp.errors import UserError, check_range
from lightning_nlp.models.architectures import Rate, check_max_length, set_dropout
from lightning_nlp.tasks import TASKS
from lightning_nlp.training.schedules import lr_lambda

Frozen = int | Literal["embeddings", "encoder"]
SIZES = ("n_layers", "n_heads", "dim", "hidden_dim")  # of a new network


def check_settings(hparams: Mapping[str, Any]) -> None:
    """Raise a UserError for a setting that no run can use, before anything is loaded."""
    for name in ("dropout", "attention_dropout"):
        check_range(f"--model.{name}", hparams[name], 0, 1, high_open=True)
    check_range("--model.lr", hparams["lr"], 0, low_open=True)
    check_range("--model.weight_decay", hparams["weight_decay"], 0)
    for name in (*SIZES, "max_position_embeddings"):
        check_range(f"--model.{name}", hparams.get(name), 1)
    if hparams["dim"] % hparams["n_heads"]:
        raise UserError(
            f"dim is {hparams['dim']}, which {hparams['n_heads']} attention heads cannot share equally: "
            "change --model.dim or --model.n_heads."
        )
    lr_lambda(hparams["schedule"], 1, hparams["warmup_ratio"])  # checks both


def auto_class(task: str) -> Any:
    """The `AutoModelFor...` class of a task."""
    import transformers

    return getattr(transformers, f"AutoModel{TASKS[task].head}")


def build(auto_class: Any, hparams: Mapping[str, Any], data: Any, device: torch.device, **overrides: Any) -> Any:
    """The network that a training module's settings ask for, checked against its data.

    Args:
        auto_class: A transformers `AutoModelFor...` class.
        hparams: The module's. A new network has `max_position_embeddings`, by default the data's `max_length`.
        data: Has a `tokenizer`, None for a user's own loader, and maybe `tokenizer_name`, where that is
            from, and `max_length`, its longest sequence in tokens.
        device: Where it will train; a new network must fit into its memory.
        overrides: Attributes of the configuration, e.g. `id2label`.
    """
    tokenizer, max_length = data.tokenizer, getattr(data, "max_length", 0)
    overrides |= {rate: hparams[rate] for rate in ("dropout", "attention_dropout")}
    if hparams["pretrained"] is not None:
        from lightning_nlp.models.load_pretrained import pretrained_for

        network = pretrained_for(auto_class, hparams, data, **overrides)
    elif hparams["freeze"] is not None or hparams.get("keep_head"):
        raise UserError("--model.freeze and --model.keep_head are for a pretrained model: give --model.pretrained too.")
    elif tokenizer is None:
        raise UserError("A new network needs a data module's tokenizer: give `pretrained`, or fit with a data module.")
    else:
        from transformers import DistilBertConfig

        sizes = {name: hparams[name] for name in SIZES}
        sizes["max_position_embeddings"] = hparams.get("max_position_embeddings", max_length)
        config = DistilBertConfig(**sizes, vocab_size=len(tokenizer), pad_token_id=tokenizer.pad_token_id)
        check_memory(config, device)
        network = from_config(auto_class, config, **overrides)
    check_max_length(network.config, max_length)
    return network


def check_memory(config: Any, device: torch.device) -> None:
    """Raise a UserError if a device cannot hold even the weights: making them would kill the process."""
    layer = 4 * config.dim**2 + 2 * config.dim * config.hidden_dim
    words = (config.vocab_size + config.max_position_embeddings) * config.dim
    needed, room = 4 * (words + config.n_layers * layer) / 2**30, memory_gib(device)
    if needed > room:
        raise UserError(
            f"A network of n_layers {config.n_layers}, dim {config.dim} and hidden_dim {config.hidden_dim} has "
            f"{needed:,.0f} GiB of weights, and this {'GPU' if device.type == 'cuda' else 'machine'} has {room:,.0f}: "
            "change --model.n_layers, --model.dim or --model.hidden_dim."
        )


def memory_gib(device: torch.device) -> float:
    """The memory of a GPU, or for any other device that of the machine, in GiB; infinite if unknown."""
    if device.type == "cuda":
        return torch.cuda.get_device_properties(device).total_memory / 2**30
    known = hasattr(os, "sysconf")  # not on Windows
    return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") / 2**30 if known else math.inf


def from_config(
    auto_class: Any, config: Any, dropout: Rate = None, attention_dropout: Rate = None, **overrides: Any
) -> Any:
    """A network with random weights, in float32 and in training mode; `config` is changed in place."""
    config.update(overrides)
    set_dropout(config, dropout, attention_dropout)
    return auto_class.from_config(config, dtype=torch.float32, trust_remote_code=False).train()
