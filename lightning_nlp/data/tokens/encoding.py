"""Texts become token ids: special tokens around each, long ones cut or split."""

from __future__ import annotations

from itertools import chain
from typing import TYPE_CHECKING, Literal

from lightning_nlp.errors import UserError

if TYPE_CHECKING:
    from tokenizers import Encoding, Tokenizer
    from transformers import PreTrainedTokenizerFast

Truncation = Literal["head", "head_tail"]

# The share of a long review that comes from its beginning (Sun et al. 2019, "How to fine-tune BERT for text
# classification?", section 5.3.1: the first 128 and the last 382 of 510 tokens).
HEAD_SHARE = 0.25


def truncate_ids(ids: list[int], room: int, truncation: Truncation) -> list[int]:
    """At most `room` of a text's token ids, without specials; `head_tail` takes three quarters from its end."""
    if len(ids) <= room:
        return ids
    if truncation == "head":
        return ids[:room]
    head = int(room * HEAD_SHARE)
    return ids[:head] + ids[len(ids) - (room - head) :]


def special_frame(tokenizer: PreTrainedTokenizerFast) -> tuple[list[int], list[int]]:
    """The special tokens that the tokenizer puts before and after a text, e.g. ([101], [102])."""
    backend = tokenizer.backend_tokenizer
    for text in chain("a", (backend.decode([number]) for number in range(backend.get_vocab_size()))):
        probe = backend.encode(text, add_special_tokens=False).ids
        framed = backend.encode(text, add_special_tokens=True).ids
        start = next((i for i in range(len(framed)) if probe and framed[i : i + len(probe)] == probe), None)
        if start is not None:
            return framed[:start], framed[start + len(probe) :]
    raise UserError("The tokenizer cannot read its own words: give another --data.tokenizer, or null to train one.")


def encode(
    texts: list[str], tokenizer: PreTrainedTokenizerFast, *, max_length: int, truncation: Truncation | None
) -> tuple[list[list[int]], list[int], list[int]]:
    """Token ids with special tokens; long texts are cut or, without `truncation`, split so that nothing is lost.

    Args:
        max_length: The most tokens of a result, special tokens included.

    Returns:
        The ids, the number of the text that each comes from, and each text's length in tokens before truncation
        and without special tokens.
    """
    backend = plain_backend(tokenizer)
    encodings = backend.encode_batch_fast(texts, add_special_tokens=False)
    return framed_pieces(encodings, special_frame(tokenizer), max_length, truncation)


def plain_backend(tokenizer: PreTrainedTokenizerFast) -> Tokenizer:
    """The tokenizer of the `tokenizers` library within, its own truncation and padding switched off."""
    backend = tokenizer.backend_tokenizer
    backend.no_truncation()
    backend.no_padding()
    return backend


def framed_pieces(
    encodings: list[Encoding], frame: tuple[list[int], list[int]], max_length: int, truncation: Truncation | None
) -> tuple[list[list[int]], list[int], list[int]]:
    """What `encode` returns, from the encodings of the texts without special tokens."""
    before, after = frame
    room = max_length - len(before) - len(after)
    results, origins = list[list[int]](), list[int]()
    texts = [encoding.ids for encoding in encodings]
    for number, ids in enumerate(texts):
        if truncation is None:
            pieces = [ids[i : i + room] for i in range(0, len(ids), room)]
        else:
            pieces = [truncate_ids(ids, room, truncation)]
        results += [before + piece + after for piece in pieces]
        origins += [number] * len(pieces)
    return results, origins, [len(ids) for ids in texts]
