"""The network to train: a new Hugging Face encoder with a head, or a pretrained one, checked against its data."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import torch
from lightning.pytorch import LightningModule

from lightning_nlp.errors import UserError, check_range
from lightning_nlp.models.architectures import Rate, check_max_length, set_dropout
from lightning_nlp.models.freezing import freeze
from lightning_nlp.tasks import TASKS
from lightning_nlp.training.hardware import memory_gib
from lightning_nlp.training.schedules import lr_lambda

if TYPE_CHECKING:
    from transformers import DistilBertConfig, PreTrainedConfig, PreTrainedModel, PreTrainedTokenizerFast


def attached(module: LightningModule) -> bool:
    """Whether a module has a Trainer: in `load_from_checkpoint` it has none."""
    try:
        return bool(module.trainer)
    except RuntimeError:
        return False


def check_settings(hparams: Mapping[str, Any]) -> None:
    """Raise a UserError for a setting that no run can use, before anything is loaded."""
    for name in ("dropout", "attention_dropout"):
        check_range(f"--model.{name}", hparams[name], 0, 1, high_open=True)
    check_range("--model.lr", hparams["lr"], 0, low_open=True)
    check_range("--model.weight_decay", hparams["weight_decay"], 0)
    lr_lambda(hparams["schedule"], 1, hparams["warmup_ratio"])


def auto_class(task: str) -> Any:
    """The `AutoModelFor...` class of a task."""
    import transformers

    return getattr(transformers, f"AutoModel{TASKS[task].head}")


def build(
    auto_class: Any, hparams: Mapping[str, Any], data: Any, device: torch.device, **overrides: Any
) -> PreTrainedModel:
    """The network that a training module's settings ask for, checked against its data.

    Args:
        auto_class: A transformers `AutoModelFor...` class.
        hparams: The module's. A new network has `max_position_embeddings`, by default the data's `max_length`.
        data: Has a `tokenizer`, None for a user's own loader, and perhaps `tokenizer_name`, where that is
            from, and `max_length`, its longest sequence in tokens.
        device: Where it will train; a new network must fit into its memory.
        overrides: Attributes of the configuration, e.g. `id2label`.

    Raises:
        UserError: If the settings do not make a network, or the data do not fit it.
    """
    name, tokenizer, max_length = hparams["pretrained"], data.tokenizer, getattr(data, "max_length", 0)
    overrides |= {rate: hparams[rate] for rate in ("dropout", "attention_dropout")}
    if name is not None:
        from lightning_nlp.models.load_pretrained import check_tokenizer, check_words, from_pretrained

        network = from_pretrained(auto_class, name, keep_head=hparams.get("keep_head", False), **overrides)
        if tokenizer is not None:
            check_tokenizer(network.config, tokenizer)
            if name != getattr(data, "tokenizer_name", None):
                check_words(name, tokenizer)
        freeze(network, hparams["freeze"])
    elif hparams["freeze"] is not None or hparams.get("keep_head"):
        raise UserError("--model.freeze and --model.keep_head are for a pretrained model: give --model.pretrained too.")
    elif tokenizer is None:
        raise UserError("A new network needs a data module's tokenizer: give `pretrained`, or fit with a data module.")
    else:
        config = distilbert_config(hparams, tokenizer, max_length)
        check_memory(config, device)
        network = from_config(auto_class, config, **overrides)
    check_max_length(network.config, max_length)
    return network


def distilbert_config(
    hparams: Mapping[str, Any], tokenizer: PreTrainedTokenizerFast, max_length: int
) -> DistilBertConfig:
    """The configuration of a new DistilBERT; a UserError if a size is below 1, or the heads cannot share `dim`."""
    from transformers import DistilBertConfig

    sizes: dict[str, Any] = {name: hparams[name] for name in ("n_layers", "n_heads", "dim", "hidden_dim")}
    sizes["max_position_embeddings"] = hparams.get("max_position_embeddings", max_length)
    for name, size in sizes.items():
        if size < 1:
            raise UserError(f"{name} is {size}, and must be at least 1: change --model.{name}.")
    if sizes["dim"] % sizes["n_heads"]:
        raise UserError(
            f"dim is {sizes['dim']}, which {sizes['n_heads']} attention heads cannot share equally: "
            "change --model.dim or --model.n_heads."
        )
    return DistilBertConfig(**sizes, vocab_size=len(tokenizer), pad_token_id=tokenizer.pad_token_id)


def check_memory(config: DistilBertConfig, device: torch.device) -> None:
    """Raise a UserError if a device cannot hold even the weights: making them would kill the process."""
    layer = 4 * config.dim**2 + 2 * config.dim * config.hidden_dim
    words = (config.vocab_size + config.max_position_embeddings) * config.dim
    needed, room = 4 * (words + config.n_layers * layer) / 2**30, memory_gib(device)
    if room is not None and needed > room:
        raise UserError(
            f"A model with n_layers {config.n_layers}, dim {config.dim}, hidden_dim {config.hidden_dim} and "
            f"{config.max_position_embeddings} positions takes {needed:,.0f} GiB, and this "
            f"{'GPU' if device.type == 'cuda' else 'machine'} has {room:,.0f}: change --model.n_layers, --model.dim or "
            "the other sizes."
        )


def from_config(
    auto_class: Any, config: PreTrainedConfig, dropout: Rate = None, attention_dropout: Rate = None, **overrides: Any
) -> PreTrainedModel:
    """A network with random weights, in float32 and in training mode; `config` is changed in place."""
    config.update(overrides)
    set_dropout(config, dropout, attention_dropout)
    return auto_class.from_config(config, dtype=torch.float32, trust_remote_code=False).train()
