"""A tokenizer of bytes, for texts that words do not suit: source code, scripts without spaces, anything."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any, Literal

from lightning_nlp.data.tokens.tokenizer import SPECIAL_TOKENS, as_pretrained, train_wordpiece
from lightning_nlp.errors import UserError

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerFast

BYTES = 256


def train_tokenizer(
    texts: Iterable[str], *, tokenizer_model: Literal["wordpiece", "bpe"] = "wordpiece", **options: Any
) -> PreTrainedTokenizerFast:
    """Train a tokenizer by `train_wordpiece` or `train_bpe`, whose arguments the options are."""
    if tokenizer_model == "wordpiece":
        return train_wordpiece(texts, **options)
    options.pop("limit_alphabet", None)  # of bytes there are 256
    return train_bpe(texts, **options)


def train_bpe(
    texts: Iterable[str],
    *,
    vocab_size: int = 50_000,
    min_frequency: int = 2,
    lowercase: bool = True,
    max_length: int = 512,
) -> PreTrainedTokenizerFast:
    """Train byte-level BPE, as GPT-2 and RoBERTa have it (Sennrich et al. 2016; Radford et al. 2019).

    Nothing is unknown to it. As of `train_wordpiece`, equal texts give an equal tokenizer (which `tokenizers`' Unigram
    does not), characters are composed first, and the special tokens are BERT's.

    Args:
        texts: The training texts.
        vocab_size: The most entries, the special tokens and 256 bytes included.
        min_frequency: How often a pair must occur to be merged.
        lowercase: Whether to fold case.
        max_length: `model_max_length` of the result, in tokens.

    Raises:
        UserError: If `vocab_size` cannot hold the special tokens and the bytes.
    """
    from tokenizers import Tokenizer, decoders, models, normalizers, pre_tokenizers, trainers

    needed = len(SPECIAL_TOKENS) + BYTES
    if vocab_size < needed:
        raise UserError(
            f"A vocabulary of {vocab_size} entries is too small: the special tokens and all bytes alone take {needed}. "
            "Give a larger --data.vocab_size."
        )
    backend = Tokenizer(models.BPE())
    composed = normalizers.NFC()
    backend.normalizer = normalizers.Sequence([composed, normalizers.Lowercase()]) if lowercase else composed
    backend.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=True)
    backend.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=vocab_size,
        min_frequency=min_frequency,
        special_tokens=[*SPECIAL_TOKENS],
        initial_alphabet=sorted(pre_tokenizers.ByteLevel.alphabet()),
        show_progress=False,
    )
    backend.train_from_iterator(iter(texts), trainer)
    return as_pretrained(backend, max_length)
