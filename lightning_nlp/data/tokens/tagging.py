"""Encodes tagged sentences: tags at first pieces, long sentences split between words."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import accumulate
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from lightning_nlp.data.tokens.encoding import plain_backend, special_frame
from lightning_nlp.errors import UserError
from lightning_nlp.evaluation import IGNORE_INDEX

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerFast

Frame = tuple[list[int], list[int]]


def word_pieces(
    texts: list[str], words: Sequence[Sequence[tuple[int, int]]], tokenizer: PreTrainedTokenizerFast
) -> tuple[list[list[list[int]]], int]:
    """The token ids of each word, from the tokenizer's offsets in the whole text, as in a pipeline.

    Args:
        words: Start and end of each text's words, in order.

    Returns:
        The ids by text and word, and the number of words for which the tokenizer returns nothing: those become its
        unknown token, so that each word is measured.

    Raises:
        UserError: If the tokenizer returns nothing for a word and has no unknown token.
    """
    ids_by_text, lost = list[list[list[int]]](), 0
    encodings = plain_backend(tokenizer).encode_batch(texts, add_special_tokens=False)
    for text, spans, encoding in zip(texts, words, encodings, strict=True):
        pieces: list[list[int]] = [[] for _ in spans]
        # a piece may begin with the space before its word
        begins = [next((i for i in range(a, b) if not text[i].isspace()), b) for a, b in encoding.offsets]
        owners = np.searchsorted([start for start, _ in spans], begins, side="right") - 1
        for token, owner in zip(encoding.ids, owners.tolist(), strict=True):
            if owner >= 0:  # not white space before the first word
                pieces[owner].append(token)
        for (start, end), piece in zip(spans, pieces, strict=True):
            if not piece:
                if tokenizer.unk_token_id is None:
                    raise UserError(
                        f"The tokenizer returns nothing for the word {text[start:end]!r} and has no unknown token: "
                        "remove the word, or give another --data.tokenizer."
                    )
                piece.append(tokenizer.unk_token_id)
                lost += 1
        ids_by_text.append(pieces)
    return ids_by_text, lost


def framed_words(
    pieces: list[list[int]], tags: Sequence[int], frame: Frame, max_length: int
) -> Iterator[tuple[list[int], list[int]]]:
    """Rows of at most `max_length` tokens, each with whole words; a word longer than that loses its end.

    Yields:
        Token ids with special tokens; and the tags at the first piece of each word, -100 at the other tokens.
    """
    before, after = frame
    room = max_length - len(before) - len(after)
    ids, labels = list[int](), list[int]()
    edges = [IGNORE_INDEX] * len(before), [IGNORE_INDEX] * len(after)
    for piece, tag in zip(pieces, tags, strict=True):
        if ids and len(ids) + len(piece) > room:
            yield before + ids + after, edges[0] + labels + edges[1]
            ids, labels = [], []
        ids += piece[:room]
        labels += [tag] + [IGNORE_INDEX] * (len(piece[:room]) - 1)
    yield before + ids + after, edges[0] + labels + edges[1]


class TokenizedBatch(NamedTuple):
    """Some texts of a split as rows of token ids; a text may have several rows."""

    texts: list[str]
    ids: list[list[int]]
    columns: dict[str, Any]  # others, by row
    counts: dict[str, int]


def tokenized_words(
    batches: Iterator[dict[str, Any]], tokenizer: PreTrainedTokenizerFast, max_length: int
) -> Iterator[TokenizedBatch]:
    """Tagged sentences: `label` becomes a tag for each token, -100 where none begins a word.

    In its counts `cut` is the number of truncated words; there are also `words` and `without_pieces`.
    """
    frame = special_frame(tokenizer)
    room = max_length - sum(map(len, frame))
    for batch in batches:
        texts, ids, labels, origins = batch["text"], list[list[int]](), list[list[int]](), list[int]()
        pieces, lost = word_pieces(texts, [*map(joined_words, texts)], tokenizer)
        for origin, (words, tags) in enumerate(zip(pieces, batch["label"], strict=True)):
            for row, row_labels in framed_words(words, tags, frame, max_length):
                ids.append(row)
                labels.append(row_labels)
                origins.append(origin)
        lengths = [len(word) for words in pieces for word in words]
        counts = {"words": len(lengths), "tokens": sum(lengths), "cut": sum(length > room for length in lengths)}
        columns: dict[str, Any] = {name: [cells[origin] for origin in origins] for name, cells in batch.items()}
        yield TokenizedBatch(
            texts, ids, columns | {"label": labels}, counts | {"without_tokens": 0, "without_pieces": lost}
        )


def tag_notes(facts: dict[str, Any], splits: Sequence[str]) -> list[str]:
    """Notes about words and sentences that were changed, a line per split and kind."""
    notes = {
        "split": "more rows, from sentences split between two words to fit --data.max_length",
        "cut": "words longer than --data.max_length, whose ends are cut off",
        "without_pieces": "words for which the tokenizer returns nothing, replaced by its unknown token",
    }
    count = {split: facts[split] | {"split": facts[split]["rows"] - facts[split]["texts"]} for split in splits}
    return [
        f"{split}: {count[split][key]:,} {what}" for split in splits for key, what in notes.items() if count[split][key]
    ]


def joined_words(text: str) -> list[tuple[int, int]]:
    """Start and end of the words in a text that separates them by single spaces."""
    words = text.split(" ")
    ends = accumulate(len(word) + 1 for word in words)
    return [(end - 1 - len(word), end - 1) for word, end in zip(words, ends, strict=True)]
