"""Trains tokenizers: WordPiece that keeps accents, or byte-level BPE, which suits scripts without spaces."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from lightning_nlp.errors import UserError

if TYPE_CHECKING:
    from tokenizers import Tokenizer
    from transformers import PreTrainedTokenizerFast

SPECIAL_TOKENS = ("[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]")  # in the order of their ids, as in BERT
USUAL_ALPHABET, COVERED = 1000, 0.9995  # minimum characters to keep, and share of the texts to cover
WORDS_REMEMBERED = 1 << 18  # different words at a time: those of a large corpus, in some 30 MB


def train_tokenizer(
    texts: Iterable[str], *, tokenizer_model: Literal["wordpiece", "bpe"] = "wordpiece", **options: Any
) -> PreTrainedTokenizerFast:
    """Train a tokenizer by `train_wordpiece` or `train_bpe`, which have the options."""
    if tokenizer_model == "wordpiece":
        return train_wordpiece(texts, **options)
    options.pop("limit_alphabet", None)  # there are 256 bytes
    return train_bpe(texts, **options)


def train_wordpiece(
    texts: Iterable[str],
    *,
    vocab_size: int = 50_000,
    min_frequency: int = 2,
    limit_alphabet: int | None = None,
    lowercase: bool = True,
    max_length: int = 512,
) -> PreTrainedTokenizerFast:
    """Train a BERT-style WordPiece tokenizer: equal texts yield equal tokenizers, byte for byte.

    Unlike `BertWordPieceTokenizer(lowercase=True)` it keeps accents ("ĝis" and "gis" are different words), and it
    composes characters (NFC). Words of over 100 letters become [UNK], so scripts without spaces need `train_bpe`.

    Args:
        texts: Iterated over two or three times, so not a generator.
        vocab_size: Maximum number of entries, special tokens included; a small corpus yields fewer.
        min_frequency: How often a pair must occur to be merged.
        limit_alphabet: How many characters to keep; rarer ones become [UNK]. None keeps 1000, or, for a script
            with more, those that cover 99.95% of the texts, but at most half of the vocabulary.
        max_length: `model_max_length` of the result, in tokens, [CLS] and [SEP] included.

    Raises:
        UserError: If `vocab_size` cannot hold special tokens and alphabet, or the texts have no words.
    """
    assert iter(texts) is not texts, "texts are read more than once: give a list or a data set, no generator"
    # A first pass without merges finds the alphabet and the continuations ("##a") that occur. The trainer
    # numbers these in the order of a hash map and breaks ties between merges by number, so each training would
    # yield another vocabulary (huggingface/tokenizers#1794). As special tokens they are in our order.
    words = _different_words(texts)  # how often they occur does not matter yet
    vocabulary = _train(words, list(SPECIAL_TOKENS), lowercase, vocab_size=0, min_frequency=min_frequency).get_vocab()
    continuations = sorted(token for token in vocabulary if token.startswith("##") and len(token) == 3)
    alphabet = sorted(token for token in vocabulary if len(token) == 1)
    if len(alphabet) > (limit_alphabet or USUAL_ALPHABET):
        alphabet = _most_frequent(alphabet, texts, lowercase, limit_alphabet, vocab_size)
        continuations = [token for token in continuations if token[2] in set(alphabet)]
    if not alphabet:
        raise UserError("The tokenizer found no words in the training texts: check --data.path and its columns.")
    _check_size(
        vocab_size, len(SPECIAL_TOKENS) + len(alphabet) + len(continuations), "single characters of these texts"
    )
    trained = _train(
        texts,
        [*SPECIAL_TOKENS, *continuations],
        lowercase,
        vocab_size=vocab_size,
        min_frequency=min_frequency,
        initial_alphabet=alphabet,
        limit_alphabet=len(alphabet),
    )
    tokenizer = _empty_wordpiece(trained.get_vocab(), lowercase)
    tokenizer.add_special_tokens(list(SPECIAL_TOKENS))
    return as_pretrained(tokenizer, max_length)


def _check_size(vocab_size: int, needed: int, what: str) -> None:
    if vocab_size < needed:
        raise UserError(
            f"A vocabulary of {vocab_size} entries is too small: the special tokens and the {what}"
            f" alone take {needed}. Give a larger --data.vocab_size."
        )


def _most_frequent(
    alphabet: list[str], texts: Iterable[str], lowercase: bool, limit: int | None, vocab_size: int
) -> list[str]:
    normalizer = _empty_wordpiece({}, lowercase).normalizer
    counts: Counter[str] = Counter()
    for text in texts:
        counts.update(normalizer.normalize_str(text))
    alphabet = sorted(alphabet, key=lambda character: (-counts[character], character))
    covered = np.cumsum([counts[character] for character in alphabet])
    needed = int(np.searchsorted(covered / covered[-1], COVERED)) + 1
    return alphabet[: limit or max(USUAL_ALPHABET, min(needed, vocab_size // 2))]


def _different_words(texts: Iterable[str]) -> Iterator[str]:
    """The words of all texts, with few repeats, so that there is less to normalise."""
    seen: set[str] = set()
    for text in texts:
        new = set(text.split(" ")) - seen
        if new:
            yield " ".join(new)
        seen |= new
        if len(seen) > WORDS_REMEMBERED:
            seen.clear()


def _empty_wordpiece(vocab: dict[str, int], lowercase: bool) -> Tokenizer:
    from tokenizers import Tokenizer, decoders, models, normalizers, pre_tokenizers

    tokenizer = Tokenizer(models.WordPiece(vocab, unk_token="[UNK]"))
    tokenizer.normalizer = normalizers.Sequence(
        [normalizers.NFC(), normalizers.BertNormalizer(lowercase=lowercase, strip_accents=False)]
    )
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    tokenizer.decoder = decoders.WordPiece()
    return tokenizer


def _train(texts: Iterable[str], special_tokens: list[str], lowercase: bool, **settings: Any) -> Tokenizer:
    from tokenizers import trainers

    tokenizer = _empty_wordpiece({}, lowercase)
    trainer = trainers.WordPieceTrainer(special_tokens=special_tokens, show_progress=False, **settings)
    tokenizer.train_from_iterator(iter(texts), trainer)
    return tokenizer


def train_bpe(
    texts: Iterable[str],
    *,
    vocab_size: int = 50_000,
    min_frequency: int = 2,
    lowercase: bool = True,
    max_length: int = 512,
) -> PreTrainedTokenizerFast:
    """Train byte-level BPE, as in GPT-2 and RoBERTa (Sennrich et al. 2016; Radford et al. 2019).

    No text is unknown to it. Like `train_wordpiece`, it yields equal tokenizers for equal texts (`tokenizers`' Unigram
    does not), composes characters first, and has BERT's special tokens.

    Args:
        vocab_size: Maximum number of entries, special tokens and 256 bytes included.
        min_frequency: How often a pair must occur to be merged.
        max_length: `model_max_length` of the result, in tokens.

    Raises:
        UserError: If `vocab_size` cannot hold the special tokens and the bytes.
    """
    from tokenizers import Tokenizer, decoders, models, normalizers, pre_tokenizers, trainers

    _check_size(vocab_size, len(SPECIAL_TOKENS) + 256, "256 bytes")
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


def as_pretrained(backend: Tokenizer, max_length: int) -> PreTrainedTokenizerFast:
    """A trained tokenizer that knows the roles of `SPECIAL_TOKENS`, and puts [CLS] and [SEP] around a text."""
    from transformers import PreTrainedTokenizerFast

    put_frame(backend, "[CLS]", "[SEP]")
    special = {f"{token[1:-1].lower()}_token": token for token in SPECIAL_TOKENS}
    return PreTrainedTokenizerFast(tokenizer_object=backend, model_max_length=max_length, **special)


def put_frame(backend: Tokenizer, first: str, last: str) -> None:
    """Make a tokenizer put one token before a text, and another after it and after the second of a pair."""
    from tokenizers import processors

    backend.post_processor = processors.TemplateProcessing(
        single=f"{first} $A {last}",
        pair=f"{first} $A {last} $B:1 {last}:1",
        special_tokens=[(token, backend.token_to_id(token)) for token in (first, last)],
    )
