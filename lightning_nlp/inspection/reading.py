"""The texts as they stand in the data, before cleaning: sizes, labels, words, markup, and which texts repeat."""

from __future__ import annotations

import hashlib
import re
from collections import Counter
from dataclasses import dataclass, field
from itertools import combinations
from typing import Any, NamedTuple

import numpy as np

from lightning_nlp.data.cleaning import clean_text
from lightning_nlp.data.files import SPLITS
from lightning_nlp.data.sources import Source

MOST_TEXTS = 50_000  # of a split, kept for the closer looks; of more a random sample
SHOWN = 20  # examples in a report
EXCERPT = 160

MARKUP = {
    "line breaks": re.compile(r"<\s*/?\s*br\b", re.IGNORECASE),
    "tags": re.compile(r"</?(?!br\b)[a-z][a-z0-9]*(?:\s[^<>]{0,200})?/?>", re.IGNORECASE),
    "entities": re.compile(r"&(?:[a-z]{2,8}|#\d{1,6}|#x[0-9a-f]{1,5});", re.IGNORECASE),
    "web addresses": re.compile(r"https?://|www\."),
    "control characters": re.compile("[\x00-\x08\x0e-\x1b\x7f-\x84\x86-\x9f]"),
    # the sign of a decoding error, and UTF-8 read as Latin-1
    "broken characters": re.compile("\ufffd|Ã[\x80-\xbf]|â€"),
}


class Text(NamedTuple):
    """A text that is looked at closely; of equal ones the first."""

    split: str
    text: str  # cleaned
    label: str | None
    where: str
    digest: bytes


@dataclass
class RawSplit:
    """What one split of the data holds.

    Attributes:
        rows: Its rows.
        incomplete: Those without text or, in labelled data, without label.
        empty: Those whose text is nothing but markup and white space.
        words: The number of words of each text that is not empty, after cleaning.
        characters: Of these texts, as they stand there.
        labels: How often each label occurs.
        markup: Texts that hold each of `MARKUP`.
        markup_left: The same after cleaning.
        copies: How often each text occurs, by the digest of its cleaned form.
        verbatim: Rows whose text, as it stands there, stands earlier in the split.
    """

    rows: int = 0
    incomplete: int = 0
    empty: int = 0
    words: list[int] = field(default_factory=list)
    characters: int = 0
    labels: Counter[str] = field(default_factory=Counter)
    markup: Counter[str] = field(default_factory=lambda: Counter(dict.fromkeys(MARKUP, 0)))
    markup_left: Counter[str] = field(default_factory=lambda: Counter(dict.fromkeys(MARKUP, 0)))
    copies: Counter[bytes] = field(default_factory=Counter)
    verbatim: int = 0

    def facts(self) -> dict[str, Any]:
        """The numbers, for the report and for JSON."""
        quantiles = np.quantile(self.words or [0], [0.5, 0.9, 0.99, 1]).round().astype(int).tolist()
        return {
            "rows": self.rows,
            "incomplete": self.incomplete,
            "empty": self.empty,
            "characters": self.characters,
            "words": dict(zip(("median", "p90", "p99", "longest"), quantiles, strict=True))
            | {"all": sum(self.words), "shortest": min(self.words, default=0)},
            "labels": dict(self.labels.most_common()),
            "markup": dict(self.markup),
            "markup_left": dict(self.markup_left),
        }


@dataclass
class Corpus:
    """All splits of the data, as they stand there."""

    splits: dict[str, RawSplit]
    texts: dict[str, list[Text]]  # different ones, by split; of train, those that stand in no other split
    labels: dict[bytes, Counter[str]]  # of the texts that stand there more than once
    examples: list[dict[str, str]]  # of equal texts: both places, both labels


def read_corpus(source: Source, *, labelled: bool, seed: int = 0) -> Corpus:
    """Read all of a source once, test first, as cleaning does.

    Memory grows by some 300 bytes a row, and by the texts that are kept.

    Args:
        source: The texts.
        labelled: Whether labels count.
        seed: Of the sample that is kept of more than `MOST_TEXTS`.
    """
    rng = np.random.default_rng(seed)
    corpus = Corpus({}, {}, {}, [])
    first: dict[bytes, tuple[str | None, str]] = {}
    for split in reversed(SPLITS):
        if split not in source.splits:
            continue
        raw, kept, different, verbatim = RawSplit(), list[Text](), 0, set[bytes]()
        for row in source.splits[split]():
            label = None if not labelled or row.label is None else _label_name(source, row.label)
            raw.rows += 1
            if label is not None:
                raw.labels[label] += 1
            if not row.text.strip() or (labelled and label is None):
                raw.incomplete += 1
                continue
            text = clean_text(row.text)
            _count_markup(raw.markup, row.text)
            _count_markup(raw.markup_left, text)
            if not text:
                raw.empty += 1
                continue
            raw.words.append(len(text.split()))
            raw.characters += len(row.text)
            digest = _digest(text)
            as_it_stands = digest if text == row.text else _digest(row.text)
            raw.verbatim += as_it_stands in verbatim
            verbatim.add(as_it_stands)
            raw.copies[digest] += 1
            if digest in first:
                _note_copy(corpus, first[digest], digest, Text(split, text, label, row.where, digest))
                continue
            first[digest] = (label, row.where)
            different += 1
            if len(kept) < MOST_TEXTS:
                kept.append(Text(split, text, label, row.where, digest))
            elif (place := int(rng.integers(different))) < MOST_TEXTS:
                kept[place] = Text(split, text, label, row.where, digest)
        corpus.splits[split], corpus.texts[split] = raw, kept
    corpus.splits = {split: corpus.splits[split] for split in SPLITS if split in corpus.splits}
    return corpus


def exact_duplicates(corpus: Corpus) -> dict[str, Any]:
    """Which texts stand there more than once, white space and markup for line breaks apart.

    Args:
        corpus: Of `read_corpus`.

    Returns:
        `rows` (with a text), `repeats` (rows whose text stands earlier in their split), `verbatim` (those equal before
        cleaning too), `shared_texts` and `shared_rows` (different texts in both of two splits, and their rows in
        the second), `conflicts` (texts with more than one label, and their rows), `examples`.
    """
    pairs = list(combinations(corpus.splits, 2))
    copies = {split: raw.copies for split, raw in corpus.splits.items()}
    shared = {pair: copies[pair[0]].keys() & copies[pair[1]].keys() for pair in pairs}
    conflicting = [digest for digest, labels in corpus.labels.items() if len(labels) > 1]
    return {
        "rows": sum(part.total() for part in copies.values()),
        "repeats": {split: part.total() - len(part) for split, part in copies.items()},
        "verbatim": {split: raw.verbatim for split, raw in corpus.splits.items()},
        "shared_texts": {_pair(pair): len(texts) for pair, texts in shared.items() if texts},
        "shared_rows": {_pair(p): sum(copies[p[1]][text] for text in texts) for p, texts in shared.items() if texts},
        "conflicts": {
            "texts": len(conflicting),
            "rows": sum(part[digest] for part in copies.values() for digest in conflicting),
        },
        "examples": corpus.examples,
    }


def excerpt(text: str) -> str:
    """The beginning of a text, on one line."""
    line = " ".join(text[: 2 * EXCERPT].split())
    return line if len(line) <= EXCERPT else f"{line[: EXCERPT - 1]}…"


def _digest(text: str) -> bytes:
    return hashlib.blake2b(text.encode("utf-8", "surrogatepass"), digest_size=16).digest()


def _label_name(source: Source, label: str | int) -> str:
    names = source.label_names
    return names[label] if names and isinstance(label, int) and 0 <= label < len(names) else str(label)


def _count_markup(counts: Counter[str], text: str) -> None:
    for name, pattern in MARKUP.items():
        if pattern.search(text):
            counts[name] += 1


def _note_copy(corpus: Corpus, first: tuple[str | None, str], digest: bytes, copy: Text) -> None:
    label, where = first
    known = corpus.labels.get(digest)
    if known is None:
        known = corpus.labels[digest] = Counter([] if label is None else [label])
    new_conflict = copy.label is not None and copy.label not in known
    if copy.label is not None:
        known[copy.label] += 1
    example = {
        "text": excerpt(copy.text),
        "first": where,
        "again": copy.where,
        "labels": "" if label is None else label if label == copy.label else f"{label}, {copy.label}",
    }
    if new_conflict:  # the ones to decide on come first
        corpus.examples.insert(0, example)
        del corpus.examples[SHOWN:]
    elif len(corpus.examples) < SHOWN:
        corpus.examples.append(example)


def _pair(pair: tuple[str, str]) -> str:
    return " and ".join(pair)
