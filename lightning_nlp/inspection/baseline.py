"""A linear model of words: the accuracy to beat, and the labels that it cannot believe (scikit-learn)."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Any

import numpy as np

from lightning_nlp.inspection.reading import SHOWN, Text, excerpt

FOLDS = 5
LEAST_TEXTS = 20
MOST_TEXTS = 30_000  # of more, a random sample
FEATURES = 1 << 18
DTYPE = np.float32  # half the memory


def linear_baseline(texts: Sequence[Text], *, seed: int = 0) -> dict[str, Any]:
    """Cross-validate TF-IDF of words and word pairs with logistic regression.

    Each text is judged by a model that has not seen its label. Its label is suspicious by the rule of confident
    learning (Northcutt et al. 2021, "Confident Learning: Estimating Uncertainty in Dataset Labels"): another class is
    at least as probable as it is on average for the texts of that class. A hard or ironic text is suspicious too.

    Args:
        texts: Different labelled texts of train, none of which stands in another split.
        seed: Of the sample and of the folds.

    Returns:
        `texts`, `accuracy`, `error` (its standard error), `f1` (macro), `majority` (the share of the most frequent
        label), `suspicious` (their number), `examples` (most suspicious first, with `row`, its number in `texts`); or
        `skipped`, the reason.
    """
    counts = Counter(text.label for text in texts)
    usable = [number for number, text in enumerate(texts) if counts[text.label] >= FOLDS]
    if len(usable) < LEAST_TEXTS or len({texts[number].label for number in usable}) < 2:
        return {"skipped": f"it needs {LEAST_TEXTS} texts, and {FOLDS} of each of two labels"}
    if len(usable) > MOST_TEXTS:
        usable = np.sort(np.random.default_rng(seed).choice(usable, MOST_TEXTS, replace=False)).tolist()
        counts = Counter(texts[number].label for number in usable)
        usable = [number for number in usable if counts[texts[number].label] >= FOLDS]
    names, labels = np.unique([str(texts[number].label) for number in usable], return_inverse=True)
    features = _features([texts[number].text for number in usable])
    if not features.nnz:
        return {"skipped": "the texts hold no words"}
    probabilities = _cross_validate(features, labels, seed)
    given = probabilities[np.arange(len(labels)), labels]
    suspects = suspicious(probabilities, labels)
    # no word of the text is known: nothing speaks against its label
    suspects = suspects[np.diff(features.indptr)[suspects] > 0]
    predicted = probabilities.argmax(1)
    accuracy = float((predicted == labels).mean())
    return {
        "texts": len(usable),
        "accuracy": round(accuracy, 6),
        "error": round(float(np.sqrt(accuracy * (1 - accuracy) / len(usable))), 6),
        "f1": round(_macro_f1(labels, predicted), 6),
        "majority": round(float(np.bincount(labels).max() / len(labels)), 6),
        "suspicious": len(suspects),
        "examples": [
            {
                "row": usable[i],
                "where": texts[usable[i]].where,
                "label": str(names[labels[i]]),
                "probability": round(float(given[i]), 4),
                "likelier": str(names[predicted[i]]),
                "text": excerpt(texts[usable[i]].text),
            }
            for i in suspects[:SHOWN].tolist()
        ],
        "rows": [usable[i] for i in suspects.tolist()],
    }


def suspicious(probabilities: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """The rows whose label is doubtful, most doubtful first.

    Args:
        probabilities: (rows, classes), from models that have not seen the row.
        labels: (rows,) the given classes; each class occurs.
    """
    rows = np.arange(len(labels))
    usual = np.array([probabilities[labels == label, label].mean() for label in range(probabilities.shape[1])])
    confident = np.where(probabilities >= usual, probabilities, -1)
    guess = confident.argmax(1)
    doubtful = np.flatnonzero((confident.max(1) >= 0) & (guess != labels))
    margin = probabilities[rows, labels] - probabilities[rows, guess]
    return doubtful[np.argsort(margin[doubtful], kind="stable")]


def _features(texts: list[str]) -> Any:
    """TF-IDF of all texts: which words there are is no label, so the folds need not keep it apart."""
    from sklearn.feature_extraction.text import HashingVectorizer, TfidfTransformer

    # hashed: a vocabulary of all word pairs takes twice the time and several times the memory, for 0.4 points more
    counter = HashingVectorizer(ngram_range=(1, 2), n_features=FEATURES, alternate_sign=False, norm=None, dtype=DTYPE)
    counts = counter.transform(texts)
    counts = counts[:, counts.getnnz(axis=0) > 1]  # what stands in one text only says nothing of the others
    return TfidfTransformer(sublinear_tf=True).fit_transform(counts) if counts.nnz else counts


def _cross_validate(features: Any, labels: np.ndarray, seed: int) -> np.ndarray:
    from sklearn.linear_model import LogisticRegression
    from sklearn.model_selection import StratifiedKFold

    probabilities = np.zeros((len(labels), labels.max() + 1))
    for train, held_out in StratifiedKFold(FOLDS, shuffle=True, random_state=seed).split(features, labels):
        model = LogisticRegression(C=4, max_iter=1000).fit(features[train], labels[train])
        probabilities[held_out] = model.predict_proba(features[held_out])
    return probabilities


def _macro_f1(labels: np.ndarray, predicted: np.ndarray) -> float:
    from sklearn.metrics import f1_score

    return float(f1_score(labels, predicted, average="macro", zero_division=0))
