"""The texts before cleaning: markup in them, and equal ones with two labels."""

import re
from collections import Counter
from typing import Any, NamedTuple

import numpy as np

from lightning_nlp.data.texts.layout import SPLITS
from lightning_nlp.data.texts.normalize import clean_text, text_digest
from lightning_nlp.data.texts.sources import Source

MOST_TEXTS = 50_000  # of a split, kept for a closer look; of more a random sample
SHOWN = 20  # examples of a kind
EXCERPT = 160

MARKUP = {
    "line breaks": re.compile(r"<\s*/?\s*br\b", re.IGNORECASE),
    "tags": re.compile(r"</?(?!br\b)[a-z][a-z0-9]*(?:\s[^<>]{0,200})?/?>", re.IGNORECASE),
    "entities": re.compile(r"&(?:[a-z]{2,8}|#\d{1,6}|#x[0-9a-f]{1,5});", re.IGNORECASE),
    # the mark of a decoding error, and UTF-8 read as Latin-1
    "broken characters": re.compile("\ufffd|Ã[\x80-\xbf]|â€"),
}


class Text(NamedTuple):
    """A text for a closer look; of equal ones the first."""

    split: str
    text: str  # cleaned
    label: str | None
    where: str


def read_texts(source: Source) -> tuple[dict[str, dict[str, Any]], dict[str, list[Text]], list[dict[str, str]]]:
    """Read all of a source once, test first, as cleaning does; rows without text or label are left out.

    Returns:
        - By split: `rows`, `markup` and `markup_left` (how many texts have each kind of `MARKUP`, before and after
          cleaning).
        - By split: distinct texts; of train, those in no other split.
        - Examples of texts with two labels.
    """
    rng = np.random.default_rng(0)
    raw: dict[str, dict[str, Any]] = {}
    texts, conflicts = {}, list[dict[str, str]]()
    seen: dict[bytes, Text] = {}  # without the text itself, some 250 bytes a row
    for split in (name for name in reversed(SPLITS) if name in source.splits):
        markup, markup_left, kept, rows, different = Counter[str](), Counter[str](), list[Text](), 0, 0
        for row in source.splits[split]():
            label = source.label_name(row) if source.labelled else None
            text = Text(split, clean_text(row.text), label, row.where)
            if not text.text or (source.labelled and label is None):
                continue
            rows += 1
            markup.update(name for name, pattern in MARKUP.items() if pattern.search(row.text))
            markup_left.update(name for name, pattern in MARKUP.items() if pattern.search(text.text))
            first = seen.setdefault(text_digest(text.text), text._replace(text=""))
            if first.where != row.where:
                if first.label != label and len(conflicts) < SHOWN:
                    conflicts.append(example(first, text))
                continue
            different += 1
            place = len(kept) if len(kept) < MOST_TEXTS else int(rng.integers(different))
            if place < MOST_TEXTS:
                kept[place : place + 1] = [text]
        raw[split] = {"rows": rows, "markup": dict(markup), "markup_left": dict(markup_left)}
        texts[split] = kept
    return dict(reversed(raw.items())), texts, conflicts


def excerpt(text: str) -> str:
    """The beginning of a text, on one line."""
    line = " ".join(text[: 2 * EXCERPT].split())
    return line if len(line) <= EXCERPT else f"{line[: EXCERPT - 1]}…"


def example(first: Text, copy: Text) -> dict[str, str]:
    """Two texts that are equal, or almost."""
    labels = (first.label or "") if first.label == copy.label else f"{first.label}, {copy.label}"
    return {"text": excerpt(copy.text), "first": first.where, "again": copy.where, "labels": labels}
