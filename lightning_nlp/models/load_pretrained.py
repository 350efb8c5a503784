"""A pretrained encoder with a head for this task, checked for missing weights and a different tokenizer."""

from collections.abc import Mapping
from typing import Any

import torch
from lightning.pytorch.utilities import rank_zero_info

from lightning_nlp.errors import UserError
from lightning_nlp.hub.pretrained import fetch_pretrained
from lightning_nlp.models.architectures import Rate, set_dropout
from lightning_nlp.models.freezing import freeze
from lightning_nlp.models.heads import match_head

# Checkpoints round their vocabulary up, by 898 rows at most (mDeBERTa); more means another tokenizer.
MOST_UNUSED_ROWS = 1024


def pretrained_for(auto_class: Any, hparams: Mapping[str, Any], data: Any, **overrides: Any) -> Any:
    """The result of `encoder.build` for a setting `pretrained`, with the same arguments and errors."""
    name = hparams["pretrained"]
    network = from_pretrained(auto_class, name, keep_head=hparams.get("keep_head", False), **overrides)
    if data.tokenizer is not None:
        check_tokenizer(network.config, data.tokenizer)
        if name != getattr(data, "tokenizer_name", None):
            check_words(name, data.tokenizer)
    freeze(network, hparams["freeze"])
    return network


def from_pretrained(
    auto_class: Any,
    name: str,
    dropout: Rate = None,
    attention_dropout: Rate = None,
    keep_head: bool = False,
    **overrides: Any,
) -> Any:
    """A pretrained network in float32 and training mode; a head that does not fit is new, which a line reports.

    Args:
        name: A folder or a Hub id, with safetensors weights.

    Raises:
        UserError: If the model cannot be fetched (see `fetch_pretrained`), has no form for this task, could not
            be loaded again after the training, or lacks weights of the encoder.
    """
    from transformers import AutoConfig
    from transformers.utils import logging

    folder = fetch_pretrained(name, "model")
    # transformers would print a table of all new weights; ours is the line below
    verbosity = logging.get_verbosity()
    logging.set_verbosity_error()
    logging.disable_progress_bar()
    try:
        config = AutoConfig.from_pretrained(folder, trust_remote_code=False)
        labels = [config.id2label[i] for i in sorted(config.id2label)]  # before the data's labels replace them
        config.update(overrides)
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
    except (ValueError, OSError, KeyError, RuntimeError, ArithmeticError) as error:
        if isinstance(error, UserError):  # from `set_dropout`
            raise
        details = f"{type(error).__name__}: {error}".splitlines()[0]
        raise UserError(
            f"{name!r} cannot be loaded as {auto_class.__name__} ({details}): "
            "give --model.pretrained an encoder, e.g. a BERT, DistilBERT, RoBERTa, ELECTRA or ModernBERT."
        ) from error
    finally:
        logging.set_verbosity(verbosity)
    if config.model_type == "funnel" and network.get_output_embeddings() is not None:
        raise UserError(
            "A funnel model cannot be exported as a masked language model, since transformers sets the embedding of "
            "the padding token, which the head shares, to zero: give --model.pretrained another architecture."
        )
    new = sorted(set(info["missing_keys"]) | {mismatch[0] for mismatch in info["mismatched_keys"]})
    # BERT's pooler is in the encoder by name, but part of the head: an MLM checkpoint has none
    lost = [key for key in new if key.startswith(f"{network.base_model_prefix}.") and "pooler" not in key]
    if lost:
        raise UserError(
            f"The checkpoint {name!r} lacks {len(lost)} weights of its encoder, or has them in another shape, "
            f"{lost[0]} among them: it does not fit its config.json; give another --model.pretrained."
        )
    if new:
        rank_zero_info(f"No matching weights in {name}, so trained from scratch: {', '.join(new)}.")
    if "id2label" in overrides:
        match_head(network, name, labels, list(overrides["id2label"].values()), new=new, keep=keep_head)
    realign(network)
    # from_pretrained returns eval mode, and Lightning would keep it: no dropout
    return network.train()


def realign(network: Any) -> None:
    """Copy a network's weights to memory aligned to 64 bytes; parameters stay the same objects, and tied.

    A safetensors file aligns them to 8 bytes, where a CPU's kernels are slower and round the last bit differently.
    """
    for tensor in [*network.parameters(), *network.buffers()]:
        tensor.data = tensor.data.clone()


def check_tokenizer(config: Any, tokenizer: Any) -> None:
    """Raise a UserError if the data's tokenizer cannot be a model's, judging by size and padding."""
    cure = "give --data.tokenizer the tokenizer that belongs to --model.pretrained."
    if not 0 <= config.vocab_size - len(tokenizer) <= MOST_UNUSED_ROWS:
        raise UserError(
            f"The tokenizer has {len(tokenizer)} tokens and the {config.model_type} model {config.vocab_size} "
            f"embeddings: {cure}"
        )
    pad_token_id = getattr(config, "pad_token_id", None)
    if pad_token_id not in (None, tokenizer.pad_token_id):
        raise UserError(f"The tokenizer pads with {tokenizer.pad_token_id} and the model with {pad_token_id}: {cure}")


def check_words(name: str, tokenizer: Any) -> None:
    """Raise a UserError if the data's tokenizer has other words than a pretrained model's own."""
    from transformers import AutoTokenizer

    try:
        theirs = AutoTokenizer.from_pretrained(fetch_pretrained(name, "tokenizer"), trust_remote_code=False).get_vocab()
    except Exception:  # missing or unreadable: nothing to compare with
        return
    ours = tokenizer.get_vocab()
    others = [word for word, number in theirs.items() if ours.get(word) != number]
    if len(others) > len(theirs) / 100:  # a few may have been added
        raise UserError(
            f"The tokenizer is not that of {name}: {len(others):,} of its {len(theirs):,} words have other ids, "
            f"e.g. {others[-1]!r}; give --data.tokenizer {name} (in Python `tokenizer` of the data module)."
        )
