"""A WordPiece tokenizer that keeps accents: trained on the spot, or loaded from a folder or the Hub."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, Any

from lightning_nlp.errors import UserError, one_line
from lightning_nlp.hub import fetch_pretrained

if TYPE_CHECKING:
    from tokenizers import Tokenizer
    from transformers import PreTrainedTokenizerFast

# The order fixes the ids: [PAD] is 0, as BERT's own vocabularies have it.
SPECIAL_TOKENS = ("[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]")

# Different words remembered at a time: those of a large corpus, in some 30 MB.
WORDS_REMEMBERED = 1 << 18


def train_wordpiece(
    texts: Iterable[str],
    *,
    vocab_size: int = 50_000,
    min_frequency: int = 2,
    limit_alphabet: int = 1000,
    lowercase: bool = True,
    max_length: int = 512,
) -> PreTrainedTokenizerFast:
    """Train a BERT-style WordPiece tokenizer: the same texts give the same tokenizer, to the byte.

    Unlike `BertWordPieceTokenizer(lowercase=True)` it does not strip accents ("ĝis" and "gis" are different words), and
    it composes characters first (NFC), so that a text in decomposed form gives the same tokens.

    Args:
        texts: The training texts; iterated over two or three times, so no generator.
        vocab_size: The most entries, specials included. A small corpus gives fewer; the model takes what there are.
        min_frequency: How often a pair must occur to be merged.
        limit_alphabet: The most single characters kept; rarer ones become [UNK].
        lowercase: Whether to fold case.
        max_length: `model_max_length` of the result, in tokens, [CLS] and [SEP] included.

    Returns:
        A tokenizer that survives `save_pretrained` and `AutoTokenizer.from_pretrained` unchanged.

    Raises:
        UserError: If `vocab_size` cannot hold the special tokens and the alphabet, or there is nothing to learn from.
    """
    assert iter(texts) is not texts, "texts are read more than once: give a list or a data set, no generator"
    # A first pass without merges finds the alphabet and the continuations ("##a") that occur. The trainer numbers the
    # latter in the order of a hash map and breaks ties between merges by number, so that each training would yield
    # another vocabulary (huggingface/tokenizers#1794). Handed over in order, as if they were specials, they are fixed.
    words = _different_words(texts)  # how often they occur does not matter yet
    found = _train(words, list(SPECIAL_TOKENS), lowercase, vocab_size=0, min_frequency=min_frequency).get_vocab()
    continuations = sorted(token for token in found if token.startswith("##") and len(token) == 3)
    alphabet = sorted(token for token in found if len(token) == 1)
    if len(alphabet) > limit_alphabet:
        counts = _count_characters(texts, lowercase)
        alphabet = sorted(alphabet, key=lambda character: (-counts[character], character))[:limit_alphabet]
        continuations = [token for token in continuations if token[2] in set(alphabet)]
    if not alphabet:
        raise UserError("The tokenizer found no words in the training texts: look at --data.path and its columns.")
    needed = len(SPECIAL_TOKENS) + len(alphabet) + len(continuations)
    if vocab_size < needed:
        raise UserError(
            f"A vocabulary of {vocab_size} entries is too small: the {len(SPECIAL_TOKENS)} special tokens and the "
            f"single characters of these texts alone take {needed}. Give a larger --data.vocab_size."
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
    return _as_pretrained(trained.get_vocab(), lowercase, max_length)


def _different_words(texts: Iterable[str]) -> Iterator[str]:
    """The words of all texts, most of them once: a fraction of what the tokenizer would have to normalise."""
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


def _count_characters(texts: Iterable[str], lowercase: bool) -> Counter[str]:
    normalizer = _empty_wordpiece({}, lowercase).normalizer
    counts: Counter[str] = Counter()
    for text in texts:
        counts.update(normalizer.normalize_str(text))
    return counts


def _as_pretrained(vocab: dict[str, int], lowercase: bool, max_length: int) -> PreTrainedTokenizerFast:
    from tokenizers import processors
    from transformers import PreTrainedTokenizerFast

    tokenizer = _empty_wordpiece(vocab, lowercase)
    tokenizer.add_special_tokens(list(SPECIAL_TOKENS))
    tokenizer.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]",
        pair="[CLS] $A [SEP] $B:1 [SEP]:1",
        special_tokens=[(token, vocab[token]) for token in ("[CLS]", "[SEP]")],
    )
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        model_max_length=max_length,
        pad_token="[PAD]",
        unk_token="[UNK]",
        cls_token="[CLS]",
        sep_token="[SEP]",
        mask_token="[MASK]",
    )


def load_tokenizer(name: str) -> PreTrainedTokenizerFast:
    """Load a tokenizer from a folder or the Hub.

    Args:
        name: A folder with a `tokenizer.json`, or a Hub id.

    Returns:
        The tokenizer, with a padding token.

    Raises:
        UserError: If it cannot be reached, is no tokenizer, or lacks a padding token.
    """
    from transformers import AutoTokenizer

    folder = fetch_pretrained(name, "tokenizer")
    try:
        tokenizer: Any = AutoTokenizer.from_pretrained(str(folder), trust_remote_code=False)
    except Exception as error:  # transformers and tokenizers raise bare Exceptions for a broken file
        raise UserError(
            f"{name} holds no tokenizer that can be read ({type(error).__name__}: {one_line(error)[:300]}): "
            "give --data.tokenizer a folder written by save_pretrained."
        ) from error
    if getattr(tokenizer, "backend_tokenizer", None) is None:
        raise UserError(f"The tokenizer {name} has no fast form (tokenizer.json): give another --data.tokenizer.")
    if tokenizer.pad_token_id is None:
        raise UserError(f"The tokenizer {name} has no padding token: give another --data.tokenizer.")
    return tokenizer
