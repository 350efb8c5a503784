"""What only the texts show: markup, equal texts with two labels, and the accuracy of a linear model."""

import re
from collections import Counter
from collections.abc import Sequence
from typing import Any

import numpy as np

from lightning_nlp.data.settings import SPLITS
from lightning_nlp.data.texts.normalize import PAIR, clean_pair, clean_text, text_digest
from lightning_nlp.data.texts.sources import Source
from lightning_nlp.data.texts.targets import label_name

MOST_TEXTS = 50_000  # kept for the linear model; a random sample if there are more
SHOWN = 20  # texts with two labels
EXCERPT = 160
FOLDS, LEAST_TEXTS, FEATURES = 5, 20, 1 << 18  # of the linear model

MARKUP = {
    "line breaks": re.compile(r"<\s*/?\s*br\b", re.IGNORECASE),
    "tags": re.compile(r"</?(?!br\b)[a-z][a-z0-9]*(?:\s[^<>]{0,200})?/?>", re.IGNORECASE),
    "entities": re.compile(r"&(?:[a-z]{2,8}|#\d{1,6}|#x[0-9a-f]{1,5});", re.IGNORECASE),
    # the mark of a decoding error, and UTF-8 read as Latin-1
    "broken characters": re.compile("\ufffd|Ã[\x80-\xbf]|â€"),
}


def read_texts(source: Source) -> tuple[dict[str, dict[str, Any]], list[tuple[str, str]], list[dict[str, str]]]:
    """Read all of a source once, test first, as cleaning does; rows without text or label are skipped.

    Returns:
        - By split: `rows`, and how many texts have each kind of `MARKUP` before (`markup`) and after (`markup_left`)
          cleaning.
        - Distinct cleaned texts of train that are in no other split, with their labels; none without labels.
        - Examples of texts with two labels.
    """
    rng = np.random.default_rng(0)
    raw: dict[str, dict[str, Any]] = {}
    kept, different, conflicts = list[tuple[str, str]](), 0, list[dict[str, str]]()
    seen: dict[bytes, tuple[str | None, str]] = {}  # label and place of a text
    for split in (name for name in reversed(SPLITS) if name in source.splits):
        rows, markup = 0, {"markup": Counter[str](), "markup_left": Counter[str]()}
        for row in source.splits[split]():
            label = label_name(source, row) if source.labelled else None
            text = clean_pair(row.text) if source.paired else clean_text(row.text)
            if not text or (source.labelled and label is None):
                continue
            rows += 1
            for count, searched in zip(markup.values(), (row.text, text), strict=True):
                count.update(name for name, pattern in MARKUP.items() if pattern.search(searched))
            first, where = seen.setdefault(text_digest(text), (label, row.where))
            if where != row.where:
                if first != label and len(conflicts) < SHOWN:
                    both = {"first": where, "again": row.where, "labels": f"{first}, {label}"}
                    conflicts.append({"text": excerpt(text), **both})
            elif split == "train" and label is not None:
                different += 1
                place = len(kept) if len(kept) < MOST_TEXTS else int(rng.integers(different))
                if place < MOST_TEXTS:
                    kept[place : place + 1] = [(text, label)]
        raw[split] = {"rows": rows} | {name: dict(count) for name, count in markup.items()}
    return dict(reversed(raw.items())), kept, conflicts


def excerpt(text: str) -> str:
    """The beginning of a text, on one line."""
    line = " ".join(text[: 2 * EXCERPT].replace(PAIR, " | ").split())
    return line if len(line) <= EXCERPT else f"{line[: EXCERPT - 1]}…"


def linear_baseline(texts: Sequence[tuple[str, str]]) -> dict[str, Any]:
    """Cross-validate TF-IDF of words and word pairs with logistic regression.

    Args:
        texts: Distinct texts of train with their labels, none of them also in another split.

    Returns:
        `texts`, `accuracy`, its standard `error`, macro `f1`, and `majority`, the share of the most frequent label;
        or, as `skipped`, the reason why there are none.
    """
    try:
        from sklearn.linear_model import LogisticRegression
        from sklearn.metrics import f1_score
        from sklearn.model_selection import StratifiedKFold, cross_val_predict
    except ImportError:
        return {"skipped": "it needs scikit-learn: pip install -e '.[inspect]'"}
    counts = Counter(label for _, label in texts)
    texts = [(text, label) for text, label in texts if counts[label] >= FOLDS]
    if len(texts) < LEAST_TEXTS or len({label for _, label in texts}) < 2:
        return {"skipped": f"it needs {LEAST_TEXTS} texts, and {FOLDS} for each of two labels"}
    features, labels = _features([text for text, _ in texts]), [label for _, label in texts]
    if not features.nnz:
        return {"skipped": "the texts have no words in common"}
    model, folds = LogisticRegression(C=4, max_iter=1000), StratifiedKFold(FOLDS, shuffle=True, random_state=0)
    predicted = cross_val_predict(model, features, labels, cv=folds).tolist()
    accuracy = sum(a == b for a, b in zip(predicted, labels, strict=True)) / len(labels)
    return {
        "texts": len(texts),
        "accuracy": round(accuracy, 6),
        "error": round((accuracy * (1 - accuracy) / len(texts)) ** 0.5, 6),
        "f1": round(float(f1_score(labels, predicted, average="macro", zero_division=0)), 6),
        "majority": round(max(counts.values()) / len(labels), 6),
    }


def _features(texts: list[str]) -> Any:
    """TF-IDF of all texts together; without labels, nothing leaks between the folds."""
    from sklearn.feature_extraction.text import HashingVectorizer, TfidfTransformer

    # a vocabulary of all word pairs takes twice the time and several times the memory, for 0.4 points more
    how: dict[str, Any] = {"alternate_sign": False, "norm": None, "dtype": np.float32}
    counts = HashingVectorizer(ngram_range=(1, 2), n_features=FEATURES, **how).transform(texts)
    counts = counts[:, counts.getnnz(axis=0) > 1]  # drops features that occur in only one text
    return TfidfTransformer(sublinear_tf=True).fit_transform(counts) if counts.nnz else counts
