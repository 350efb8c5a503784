"""Normalises texts and labels, so that texts that look the same are the same."""

import hashlib
import re
import unicodedata
from collections.abc import Sequence

PAIR = "\x1f"  # between the two texts of a pair; to Unicode it is white space, so a cleaned text has none

# for folded white space; an unbounded repeat would take quadratic time on many "<br " in a row
_BREAK = re.compile(r"< ?/? ?br(?: [^<>\n]{0,60}|/ ?)?>", re.IGNORECASE)
# all of Cc but white space, and lone halves of surrogate pairs, left by cut JSON escapes
_CONTROL = re.compile("[\x00-\x08\x0e-\x1b\x7f-\x84\x86-\x9f\ud800-\udfff]")
MOST_MARKS = 30
_LONG_ROW = re.compile("[^\x00-\u02ff]{31}")  # a fast test, rarely true in languages with spaces
_MARKS = re.compile(r"[^\w\s\x00-\x7f]{31,}")  # all marks are among these


def clean_text(text: str) -> str:
    r"""Normalise a text: markup for line breaks, white space, control characters, Unicode.

    Returns:
        The text in NFC with `<br />` and its variants as "\n", other white space folded to one " " (one "\n" if
        it has a line break), no control characters or outer white space, and at most 30 combining marks in a
        row (Unicode's stream-safe format).
    """
    # composed before the pattern counts characters, so that cleaning twice changes nothing
    text, breaks = _BREAK.subn("\n", fold(text))
    return _fold_space(text) if breaks else text


def fold(text: str) -> str:
    """`clean_text` without the markup."""
    return _fold_space(_compose(_CONTROL.sub("", text)))


def _compose(text: str) -> str:
    """NFC in linear time: Python sorts a row of combining marks in quadratic time."""
    if text.isascii() or not _LONG_ROW.search(text):
        return unicodedata.normalize("NFC", text)
    text = unicodedata.normalize("NFC", _MARKS.sub(_few_marks, text))
    return _MARKS.sub(_few_marks, text)  # decomposing some characters makes runs longer


def _few_marks(match: re.Match[str]) -> str:
    kept, row = [], 0
    for character in match[0]:
        row = row + 1 if unicodedata.combining(character) else 0
        if row <= MOST_MARKS:
            kept.append(character)
    return "".join(kept)


def join_pair(texts: Sequence[str]) -> str:
    """Two texts as one, `PAIR` between them; "" if one is missing."""
    texts = [text.replace(PAIR, " ") for text in texts]
    return PAIR.join(texts) if all(map(str.strip, texts)) else ""


def clean_pair(text: str) -> str:
    """`clean_text` for each text of a pair; "" if one is empty afterwards."""
    return join_pair([*map(clean_text, text.split(PAIR))])


def text_digest(cleaned: str) -> bytes:
    """A 16-byte hash of a text, always cleaned; changing it moves texts to other splits."""
    return hashlib.blake2b(cleaned.encode(), digest_size=16).digest()


def _fold_space(text: str) -> str:
    return "\n".join(filter(None, (" ".join(line.split()) for line in text.splitlines())))
