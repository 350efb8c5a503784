"""What both training modules need of a Hugging Face encoder: made new, or loaded and checked."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import torch
from lightning.pytorch import LightningModule
from lightning.pytorch.utilities import rank_zero_info

from lightning_nlp.errors import UserError, check_range
from lightning_nlp.hub.pretrained import fetch_pretrained
from lightning_nlp.models.freezing import freeze
from lightning_nlp.models.heads import match_head
from lightning_nlp.models.packing import ATTENTION_DROPOUT_NAMES, POSITIONS_AFTER_PADDING
from lightning_nlp.training.hardware import memory_gib
from lightning_nlp.training.schedules import Schedule, lr_lambda

if TYPE_CHECKING:
    from transformers import DistilBertConfig, PreTrainedConfig, PreTrainedModel, PreTrainedTokenizerFast

# The names under which the architectures keep the rate: the encoder's, and in the second line the head's.
DROPOUT_NAMES = (
    *("dropout", "hidden_dropout_prob", "hidden_dropout", "embedding_dropout", "mlp_dropout"),
    *("seq_classif_dropout", "classifier_dropout", "pooler_dropout"),
)

# Checkpoints round their vocabulary up, by 898 rows at most (mDeBERTa); more is another tokenizer.
MOST_UNUSED_ROWS = 1024


def attached(module: LightningModule) -> bool:
    """Whether a module has a Trainer: in `load_from_checkpoint` it has none."""
    try:
        return bool(module.trainer)
    except RuntimeError:
        return False


def check_settings(
    dropout: float | None,
    attention_dropout: float | None,
    lr: float,
    weight_decay: float,
    schedule: Schedule,
    warmup_ratio: float,
) -> None:
    """Raise a UserError for a setting that no run can use, before anything is loaded."""
    for name, rate in (("dropout", dropout), ("attention_dropout", attention_dropout)):
        check_range(f"--model.{name}", rate, 0, 1, high_open=True)
    check_range("--model.lr", lr, 0, low_open=True)
    check_range("--model.weight_decay", weight_decay, 0)
    lr_lambda(schedule, 1, warmup_ratio)


def build(
    auto_class: Any,
    hparams: Mapping[str, Any],
    *,
    tokenizer: PreTrainedTokenizerFast | None,
    max_length: int,
    max_position_embeddings: int,
    device: torch.device,
    **config_overrides: Any,
) -> PreTrainedModel:
    """The network that a training module's settings ask for, checked against its data.

    Args:
        auto_class: A transformers `AutoModelFor...` class.
        hparams: `pretrained`, `dropout` and `attention_dropout`; without `pretrained` also `n_layers`,
            `n_heads`, `dim` and `hidden_dim`; with it perhaps `keep_head` and `freeze`.
        tokenizer: The data's tokenizer; None for a loader of the user's own, with a pretrained network.
        max_length: The data's longest sequence, in tokens; 0 where it is not known.
        max_position_embeddings: Positions of a new network.
        device: Where it will train, and whose memory a new network must fit into.
        **config_overrides: Attributes of the configuration, such as `id2label`.

    Raises:
        UserError: If the settings do not make a network, or the data do not fit it.
    """
    overrides = config_overrides | {name: hparams[name] for name in ("dropout", "attention_dropout")}
    if hparams["pretrained"] is not None:
        network = from_pretrained(
            auto_class, hparams["pretrained"], keep_head=hparams.get("keep_head", False), **overrides
        )
        if tokenizer is not None:
            check_tokenizer(network.config, tokenizer)
            check_words(hparams["pretrained"], tokenizer)
        freeze(network, hparams.get("freeze"))
    elif hparams.get("freeze") is not None or hparams.get("keep_head"):
        raise UserError("--model.freeze and --model.keep_head are for a pretrained model: give --model.pretrained too.")
    elif tokenizer is None:
        raise UserError("A new network needs a data module's tokenizer: give `pretrained`, or fit with a data module.")
    else:
        config = distilbert_config(
            **{name: hparams[name] for name in ("n_layers", "n_heads", "dim", "hidden_dim")},
            max_position_embeddings=max_position_embeddings,
            vocab_size=len(tokenizer),
            pad_token_id=tokenizer.pad_token_id,
        )
        check_memory(config, device)
        network = from_config(auto_class, config, **overrides)
    check_max_length(network.config, max_length)
    return network


def distilbert_config(
    *,
    n_layers: int,
    n_heads: int,
    dim: int,
    hidden_dim: int,
    max_position_embeddings: int,
    vocab_size: int,
    pad_token_id: int,
) -> DistilBertConfig:
    """The configuration of a new DistilBERT.

    Raises:
        UserError: If a size is less than 1, or `dim` is no multiple of `n_heads`.
    """
    from transformers import DistilBertConfig

    sizes: dict[str, Any] = {
        "n_layers": n_layers,
        "n_heads": n_heads,
        "dim": dim,
        "hidden_dim": hidden_dim,
        "max_position_embeddings": max_position_embeddings,
    }
    for name, size in sizes.items():
        if size < 1:
            raise UserError(f"{name} is {size}, and must be at least 1: change --model.{name}.")
    if dim % n_heads:
        raise UserError(
            f"dim is {dim}, which {n_heads} attention heads cannot share equally: "
            "change --model.dim or --model.n_heads."
        )
    return DistilBertConfig(**sizes, vocab_size=vocab_size, pad_token_id=pad_token_id)


def check_memory(config: DistilBertConfig, device: torch.device) -> None:
    """Raise a UserError if a device cannot hold the weights alone: to make them would end the program."""
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
    auto_class: Any,
    config: PreTrainedConfig,
    *,
    dropout: float | None = None,
    attention_dropout: float | None = None,
    **config_overrides: Any,
) -> PreTrainedModel:
    """A network with random weights, in float32 and in training mode; `config` is changed in place."""
    config.update(config_overrides)
    set_dropout(config, dropout, attention_dropout)
    return auto_class.from_config(config, dtype=torch.float32, trust_remote_code=False).train()


def from_pretrained(
    auto_class: Any,
    name: str,
    *,
    dropout: float | None = None,
    attention_dropout: float | None = None,
    keep_head: bool = False,
    **config_overrides: Any,
) -> PreTrainedModel:
    """A pretrained network, in float32 and in training mode, whose encoder's weights all came from the checkpoint.

    Args:
        name: A folder or a Hub id, with safetensors weights.

    Returns:
        The network. A head that the checkpoint lacks, or has in another shape, is new, and one line says so.

    Raises:
        UserError: If the model cannot be had (see `fetch_pretrained`), has no form for this task, or lacks
            weights of the encoder.
    """
    from transformers import AutoConfig
    from transformers.utils import logging

    folder = fetch_pretrained(name, "model")
    # transformers would print a table of every new weight, and a bar of a second: ours is the line below
    verbosity = logging.get_verbosity()
    logging.set_verbosity_error()
    logging.disable_progress_bar()
    try:
        config = AutoConfig.from_pretrained(folder, trust_remote_code=False)
        labels = [config.id2label[i] for i in sorted(config.id2label)]  # before the data's take their place
        config.update(config_overrides)
        set_dropout(config, dropout, attention_dropout)
        network, info = auto_class.from_pretrained(
            folder,
            config=config,
            dtype=torch.float32,
            use_safetensors=True,
            trust_remote_code=False,  # unset, transformers asks in a terminal
            ignore_mismatched_sizes=True,  # for the head; checked below
            output_loading_info=True,
        )
    except UserError:
        raise
    except (ValueError, OSError, KeyError, RuntimeError, ArithmeticError) as error:
        details = f"{type(error).__name__}: {error}".splitlines()[0]
        raise UserError(
            f"{name!r} cannot be loaded as {auto_class.__name__} ({details}): "
            "give --model.pretrained an encoder such as a BERT, DistilBERT, RoBERTa, ELECTRA or ModernBERT."
        ) from error
    finally:
        logging.set_verbosity(verbosity)
    new = sorted(set(info["missing_keys"]) | {mismatch[0] for mismatch in info["mismatched_keys"]})
    encoder = f"{network.base_model_prefix}."
    # BERT's pooler belongs to the encoder by name, to the head by use: a checkpoint made by MLM has none
    lost = [key for key in new if key.startswith(encoder) and "pooler" not in key]
    if lost:
        raise UserError(
            f"The checkpoint {name!r} lacks {len(lost)} weights of its encoder, or has them in another shape, "
            f"{lost[0]} among them: it does not fit its config.json; give another --model.pretrained."
        )
    if new:
        rank_zero_info(f"{name} brings no fitting {', '.join(new)}: trained from scratch.")
    if "id2label" in config_overrides:
        match_head(network, name, labels, list(config_overrides["id2label"].values()), new=new, keep=keep_head)
    realign(network)
    # from_pretrained hands the network out in eval mode, and Lightning leaves modes alone: no dropout
    return network.train()


def realign(network: PreTrainedModel) -> None:
    """Move a network's weights to memory of their own; each parameter stays the object that it is, and so tied.

    Those out of a safetensors file lie where the file has them, at multiples of 8 bytes instead of 64. There
    the kernels of a CPU are slower, and they round otherwise: equal weights give outputs that differ in the
    last bit.
    """
    for tensor in [*network.parameters(), *network.buffers()]:
        tensor.data = tensor.data.clone()


def set_dropout(config: PreTrainedConfig, dropout: float | None, attention_dropout: float | None) -> None:
    """Set the dropout rates of an architecture, under the names that it uses.

    Args:
        config: Changed in place.
        dropout: The rate on hidden states, the head's included; None keeps the configuration's own.
        attention_dropout: The rate on attention weights; None keeps the configuration's own.

    Raises:
        UserError: If a rate above 0 is asked of an architecture that has no such setting.
    """
    for argument, rate, names in (
        ("dropout", dropout, DROPOUT_NAMES),
        ("attention_dropout", attention_dropout, ATTENTION_DROPOUT_NAMES),
    ):
        present = [name for name in names if hasattr(config, name)]
        if rate and not present:
            raise UserError(
                f"{argument} is {rate}, and a {config.model_type} has no such setting: leave --model.{argument} null."
            )
        if rate is not None:
            for name in present:
                setattr(config, name, rate)


def check_max_length(config: PreTrainedConfig, max_length: int) -> None:
    """Raise a UserError if `max_length` tokens, special ones included, exceed the model's positions."""
    positions = getattr(config, "max_position_embeddings", None)
    if not positions or positions < 1 or not getattr(config, "position_biased_input", True):
        return
    if config.model_type in POSITIONS_AFTER_PADDING:
        positions -= config.pad_token_id + 1
    if max_length > positions:
        raise UserError(
            f"max_length is {max_length}, and the {config.model_type} model has {positions} positions: "
            f"give --data.max_length {positions} or less."
        )


def check_tokenizer(config: PreTrainedConfig, tokenizer: PreTrainedTokenizerFast) -> None:
    """Raise a UserError if the data's tokenizer cannot be the one that a pretrained model was made with."""
    cure = "give --data.tokenizer the tokenizer that belongs to --model.pretrained."
    unused = config.vocab_size - len(tokenizer)
    if not 0 <= unused <= MOST_UNUSED_ROWS:
        raise UserError(
            f"The tokenizer has {len(tokenizer)} tokens and the {config.model_type} model {config.vocab_size} "
            f"embeddings: {cure}"
        )
    pad_token_id = getattr(config, "pad_token_id", None)
    if pad_token_id is not None and pad_token_id != tokenizer.pad_token_id:
        raise UserError(f"The tokenizer pads with {tokenizer.pad_token_id} and the model with {pad_token_id}: {cure}")


def check_words(name: str, tokenizer: PreTrainedTokenizerFast) -> None:
    """Raise a UserError if the data's tokenizer is another one than a pretrained model brings, of whatever size."""
    from transformers import AutoTokenizer

    try:
        theirs = AutoTokenizer.from_pretrained(fetch_pretrained(name, "tokenizer"), trust_remote_code=False).get_vocab()
    except Exception:  # it brings none, or one that cannot be read: there is nothing to compare with
        return
    ours = tokenizer.get_vocab()
    others = [word for word, number in theirs.items() if ours.get(word) != number]
    if len(others) > len(theirs) / 100:  # a few may have been added
        raise UserError(
            f"The tokenizer is not that of {name}: {len(others):,} of its {len(theirs):,} words have other numbers, "
            f"such as {others[-1]!r}; give --data.tokenizer {name} (in Python `tokenizer` of the data module)."
        )
