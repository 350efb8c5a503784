"""One spelling for what is the same: texts and labels without differences that nobody sees."""

from __future__ import annotations

import hashlib
import re
import unicodedata

# For folded white space. The repeat is bounded: without that, many "<br " in a row take quadratic time.
_BREAK = re.compile(r"< ?/? ?br(?: [^<>\n]{0,60}|/ ?)?>", re.IGNORECASE)
# All of Cc but white space; and lone halves of surrogate pairs, as cut JSON escapes leave them.
_CONTROL = re.compile("[\x00-\x08\x0e-\x1b\x7f-\x84\x86-\x9f\ud800-\udfff]")
MOST_MARKS = 30
_LONG_ROW = re.compile("[^\x00-\u02ff]{31}")  # found fast, and hardly ever in languages with spaces
_MARKS = re.compile(r"[^\w\s\x00-\x7f]{31,}")  # all marks are among these


def clean_text(text: str) -> str:
    r"""Normalise a text: markup for line breaks, white space, control characters, Unicode.

    Returns:
        The text with `<br />` and its variants as "\n", other white space folded to one " " or, where it
        holds a line break, one "\n", without control characters and outer white space, in Unicode's form NFC,
        with 30 combining marks in a row at most, as Unicode's stream-safe format has it.
    """
    # Composed before the pattern counts characters: a second cleaning finds what the first one found.
    text, breaks = _BREAK.subn("\n", fold(text))
    return _fold_space(text) if breaks else text


def fold(text: str) -> str:
    """Normalise a text as `clean_text` does, but for markup."""
    return _fold_space(_compose(_CONTROL.sub("", text)))


def _compose(text: str) -> str:
    """NFC in linear time: Python puts a row of combining marks in order in quadratic time."""
    if text.isascii() or not _LONG_ROW.search(text):
        return unicodedata.normalize("NFC", text)
    text = unicodedata.normalize("NFC", _MARKS.sub(_few_marks, text))
    return _MARKS.sub(_few_marks, text)  # taking some characters apart makes rows longer


def _few_marks(match: re.Match[str]) -> str:
    kept, row = [], 0
    for character in match[0]:
        row = row + 1 if unicodedata.combining(character) else 0
        if row <= MOST_MARKS:
            kept.append(character)
    return "".join(kept)


def text_digest(cleaned: str) -> bytes:
    """16 bytes for a text, cleaned whatever `--data.clean` says; a change here moves texts to other parts."""
    return hashlib.blake2b(cleaned.encode(), digest_size=16).digest()


def _fold_space(text: str) -> str:
    return "\n".join(filter(None, (" ".join(line.split()) for line in text.splitlines())))
