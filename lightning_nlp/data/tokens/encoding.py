"""Encodes texts as token ids, special tokens around each; long texts are cut or split."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, NamedTuple

from lightning_nlp.data.settings import Truncation
from lightning_nlp.data.texts.normalize import PAIR
from lightning_nlp.errors import UserError

if TYPE_CHECKING:
    from tokenizers import Encoding, Tokenizer
    from transformers import PreTrainedTokenizerFast

# The share of a long review that comes from its beginning (Sun et al. 2019, "How to fine-tune BERT for text
# classification?", section 5.3.1: the first 128 and the last 382 of 510 tokens).
HEAD_SHARE = 0.25


class PairFrame(NamedTuple):
    """The special tokens that a tokenizer puts around two texts, e.g. [101], [102], [102]."""

    before: list[int]
    between: list[int]
    after: list[int]
    typed: bool  # whether `token_type_ids` are 1 from the second text on, not 0 throughout


Frame = tuple[list[int], list[int]] | PairFrame  # around one text or two


def encode(
    texts: list[str],
    tokenizer: PreTrainedTokenizerFast,
    *,
    max_length: int,
    truncation: Truncation | None,
    paired: bool = False,
) -> tuple[list[list[int]], list[int], list[int]]:
    """Encode texts with special tokens; long ones are cut or, without `truncation`, split so that nothing is lost.

    Args:
        max_length: Maximum number of tokens in a result, special tokens included.
        paired: Whether texts are pairs, joined by `join_pair`; the longer text is cut first.

    Returns:
        The ids; the index of the text that each comes from; and each text's length in tokens before truncation, without
        special tokens. For pairs the second item is instead where the second text begins in the ids, negative if its
        `token_type_ids` are 0 too, and the length is that of both texts, or 0 if one has no tokens.
    """
    backend = plain_backend(tokenizer)
    encodings = backend.encode_batch_fast(parts_of(texts) if paired else texts, add_special_tokens=False)
    return framed_pieces(encodings, frame_of(tokenizer, paired), max_length, truncation)


def plain_backend(tokenizer: PreTrainedTokenizerFast) -> Tokenizer:
    """The `tokenizers` tokenizer inside, with its own truncation and padding switched off."""
    backend = tokenizer.backend_tokenizer
    backend.no_truncation()
    backend.no_padding()
    return backend


def frame_of(tokenizer: PreTrainedTokenizerFast, paired: bool) -> Frame:
    """The special tokens that the tokenizer puts around a text, or around a pair."""
    return pair_frame(tokenizer) if paired else special_frame(tokenizer)


def special_frame(tokenizer: PreTrainedTokenizerFast) -> tuple[list[int], list[int]]:
    """The special tokens that the tokenizer puts before and after a text, e.g. ([101], [102])."""
    backend = plain_backend(tokenizer)
    for text in _short_texts(backend):
        encoding = backend.encode(text)
        owned = [i for i, owner in enumerate(encoding.sequence_ids) if owner is not None]  # special tokens have none
        if owned:
            return encoding.ids[: owned[0]], encoding.ids[owned[-1] + 1 :]
    raise UserError("The tokenizer cannot encode its own words: give another --data.tokenizer, or null to train one.")


def pair_frame(tokenizer: PreTrainedTokenizerFast) -> PairFrame:
    """The special tokens around a pair of texts; raises a UserError if there are none between them."""
    backend = plain_backend(tokenizer)
    encodings = (backend.encode(text, text) for text in _short_texts(backend))
    if pair := next((encoding for encoding in encodings if {0, 1} <= {*encoding.sequence_ids}), None):
        owners, types = pair.sequence_ids, pair.type_ids
        first, second = owners.index(0), owners.index(1)
        first_end, second_end = (len(owners) - owners[::-1].index(text) for text in (0, 1))
        typed = types == [0] * second + [1] * (len(types) - second)
        if first_end < second and (typed or not any(types)):
            return PairFrame(pair.ids[:first], pair.ids[first_end:second], pair.ids[second_end:], typed)
    raise UserError("The tokenizer does not encode pairs of texts in a supported form: give another --data.tokenizer.")


def _short_texts(backend: Tokenizer) -> Iterator[str]:
    """Texts of which any working tokenizer can encode at least one."""
    yield "a"
    yield from (backend.decode([number]) for number in range(backend.get_vocab_size()))


def framed_pieces(
    encodings: list[Encoding], frame: Frame, max_length: int, truncation: Truncation | None
) -> tuple[list[list[int]], list[int], list[int]]:
    """The result of `encode`, from bare encodings of the texts, or of the `parts_of` pairs."""
    texts = [encoding.ids for encoding in encodings]
    if isinstance(frame, PairFrame):
        return _framed_pairs(texts, frame, max_length, truncation or "head")
    before, after = frame
    room = max_length - len(before) - len(after)
    results, origins = list[list[int]](), list[int]()
    for number, ids in enumerate(texts):
        if truncation is None:
            pieces = [ids[i : i + room] for i in range(0, len(ids), room)]
        else:
            pieces = [truncate_ids(ids, room, truncation)]
        results += [before + piece + after for piece in pieces]
        origins += [number] * len(pieces)
    return results, origins, [len(ids) for ids in texts]


def truncate_ids(ids: list[int], room: int, truncation: Truncation) -> list[int]:
    """At most `room` of a text's bare token ids; `head_tail` keeps three quarters from the end."""
    if len(ids) <= room:
        return ids
    head = room if truncation == "head" else int(room * HEAD_SHARE)
    return ids[:head] + ids[len(ids) - (room - head) :]


def parts_of(texts: list[str]) -> list[str]:
    """The first and second texts of pairs in turn, both empty for a pair that cleaning emptied."""
    return [part for text in texts for part in text.partition(PAIR)[::2]]


def _framed_pairs(
    texts: list[list[int]], frame: PairFrame, max_length: int, truncation: Truncation
) -> tuple[list[list[int]], list[int], list[int]]:
    results, seconds, lengths = list[list[int]](), list[int](), list[int]()
    if (room := max_length - sum(map(len, frame[:3]))) < 2:
        raise UserError(f"max_length {max_length} has no room for two texts: raise --data.max_length.")
    for first, second in zip(texts[::2], texts[1::2], strict=True):
        shorter = min(len(first), len(second), room // 2)  # `longest_first` of `tokenizers`
        longer = min(max(len(first), len(second)), room - shorter)
        kept = (shorter, longer) if len(first) <= len(second) else (longer, shorter)
        begin = frame.before + truncate_ids(first, kept[0], truncation) + frame.between
        results.append(begin + truncate_ids(second, kept[1], truncation) + frame.after)
        seconds.append(len(begin) if frame.typed else -len(begin))
        lengths.append(len(first) + len(second) if first and second else 0)
    return results, seconds, lengths
