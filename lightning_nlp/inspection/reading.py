"""The texts as they stand in the data, before cleaning: their words, markup in them, and which ones are equal."""

from __future__ import annotations

import hashlib
import re
from collections import Counter
from typing import Any, NamedTuple

import numpy as np

from lightning_nlp.data.texts.layout import SPLITS
from lightning_nlp.data.texts.normalize import clean_text
from lightning_nlp.data.texts.sources import Source

MOST_TEXTS = 50_000  # of a split, kept for the closer looks; of more a random sample
SHOWN = 20  # examples of a kind
EXCERPT = 160

MARKUP = {
    "line breaks": re.compile(r"<\s*/?\s*br\b", re.IGNORECASE),
    "tags": re.compile(r"</?(?!br\b)[a-z][a-z0-9]*(?:\s[^<>]{0,200})?/?>", re.IGNORECASE),
    "entities": re.compile(r"&(?:[a-z]{2,8}|#\d{1,6}|#x[0-9a-f]{1,5});", re.IGNORECASE),
    # the sign of a decoding error, and UTF-8 read as Latin-1
    "broken characters": re.compile("\ufffd|Ã[\x80-\xbf]|â€"),
}


class Text(NamedTuple):
    """A text that is looked at closely; of equal ones the first."""

    split: str
    text: str  # cleaned
    label: str | None
    where: str


def read_texts(
    source: Source, *, labelled: bool
) -> tuple[dict[str, dict[str, Any]], dict[str, list[Text]], dict[str, Any]]:
    """Read all of a source once, test first, as cleaning does; rows without text or label are left out.

    Memory grows by some 250 bytes a row, and by the texts that are kept.

    Returns:
        - By split: `rows`, `words` (quantiles of a text's number), `markup` and `markup_left` (how many texts
          hold each of `MARKUP` that occurs, before cleaning and after it).
        - By split: different texts; of train, those that stand in no other split.
        - Of equal texts, white space and line breaks apart: `rows` (of all texts), `texts` (different ones),
          `conflicts` (texts with more than one label, and their rows), `examples` (the conflicts first).
    """
    rng = np.random.default_rng(0)
    raw: dict[str, dict[str, Any]] = {}
    texts, examples = {}, list[dict[str, str]]()
    first: dict[bytes, tuple[str | None, str]] = {}  # the label and place of each text
    labels: dict[bytes, Counter[str | None]] = {}  # of each text that repeats
    for split in (name for name in reversed(SPLITS) if name in source.splits):
        words, markup, markup_left = list[int](), Counter[str](), Counter[str]()
        kept, different = list[Text](), 0
        for row in source.splits[split]():
            label = source.label_name(row) if labelled else None
            text = Text(split, clean_text(row.text), label, row.where)
            if not text.text or (labelled and label is None):
                continue
            markup.update(name for name, pattern in MARKUP.items() if pattern.search(row.text))
            markup_left.update(name for name, pattern in MARKUP.items() if pattern.search(text.text))
            words.append(len(text.text.split()))
            digest = hashlib.blake2b(text.text.encode(), digest_size=16).digest()
            if digest in first:
                known = labels.setdefault(digest, Counter([first[digest][0]]))
                examples.insert(len(examples) if label in known else 0, _example(*first[digest], text))
                del examples[SHOWN:]
                known[label] += 1
                continue
            first[digest] = (label, row.where)
            different += 1
            place = len(kept) if len(kept) < MOST_TEXTS else int(rng.integers(different))
            if place < MOST_TEXTS:
                kept[place : place + 1] = [text]
        quantiles = np.quantile(words or [0], [0.5, 0.9, 0.99, 1]).round().astype(int).tolist()
        raw[split] = {
            "rows": len(words),
            "words": dict(zip(("median", "p90", "p99", "longest"), quantiles, strict=True)),
            "markup": dict(markup),
            "markup_left": dict(markup_left),
        }
        texts[split] = kept
    conflicts = [known for known in labels.values() if len(known) > 1]
    duplicates = {
        "rows": sum(part["rows"] for part in raw.values()),
        "texts": len(first),
        "conflicts": {"texts": len(conflicts), "rows": sum(known.total() for known in conflicts)},
        "examples": examples,
    }
    return dict(reversed(raw.items())), texts, duplicates


def excerpt(text: str) -> str:
    """The beginning of a text, on one line."""
    line = " ".join(text[: 2 * EXCERPT].split())
    return line if len(line) <= EXCERPT else f"{line[: EXCERPT - 1]}…"


def _example(label: str | None, where: str, copy: Text) -> dict[str, str]:
    labels = "" if label is None else label if label == copy.label else f"{label}, {copy.label}"
    return {"text": excerpt(copy.text), "first": where, "again": copy.where, "labels": labels}
