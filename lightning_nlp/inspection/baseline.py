"""A linear model of words (scikit-learn): the accuracy to beat, and the labels that look wrong to it."""

from collections import Counter
from collections.abc import Sequence
from typing import Any

import numpy as np

from lightning_nlp.inspection.reading import SHOWN, Text, excerpt

FOLDS = 5
LEAST_TEXTS = 20
FEATURES = 1 << 18


def linear_baseline(texts: Sequence[Text]) -> dict[str, Any]:
    """Cross-validate TF-IDF of words and word pairs with logistic regression.

    Args:
        texts: Distinct labelled texts of train, none of them also in another split.

    Returns:
        `texts`, `accuracy`, its standard `error`, macro `f1`, `majority` (the share of the most frequent label), the
        number of `suspicious` labels, `examples` of them; or `skipped`, the reason.
    """
    try:
        from sklearn.linear_model import LogisticRegression
        from sklearn.metrics import f1_score
        from sklearn.model_selection import StratifiedKFold, cross_val_predict
    except ImportError:
        return {"skipped": "it, and the labels that look wrong, need scikit-learn: pip install -e '.[inspect]'"}
    counts = Counter(text.label for text in texts)
    texts = [text for text in texts if counts[text.label] >= FOLDS]
    names, labels = np.unique([str(text.label) for text in texts], return_inverse=True)
    if len(texts) < LEAST_TEXTS or len(names) < 2:
        return {"skipped": f"it needs {LEAST_TEXTS} texts, and {FOLDS} of each of two labels"}
    features = _features([text.text for text in texts])
    if not features.nnz:
        return {"skipped": "the texts hold no words"}
    model, folds = LogisticRegression(C=4, max_iter=1000), StratifiedKFold(FOLDS, shuffle=True, random_state=0)
    probabilities = cross_val_predict(model, features, labels, cv=folds, method="predict_proba")
    predicted = probabilities.argmax(1)
    suspects = suspicious(probabilities, labels)
    suspects = suspects[np.diff(features.indptr)[suspects] > 0]  # no known word speaks for another label
    accuracy = float((predicted == labels).mean())
    return {
        "texts": len(texts),
        "accuracy": round(accuracy, 6),
        "error": round((accuracy * (1 - accuracy) / len(texts)) ** 0.5, 6),
        "f1": round(float(f1_score(labels, predicted, average="macro", zero_division=0)), 6),
        "majority": round(float(np.bincount(labels).max() / len(labels)), 6),
        "suspicious": len(suspects),
        "examples": [
            {
                "where": texts[i].where,
                "label": str(names[labels[i]]),
                "probability": round(float(probabilities[i, labels[i]]), 4),
                "likelier": str(names[predicted[i]]),
                "text": excerpt(texts[i].text),
            }
            for i in suspects[:SHOWN].tolist()
        ],
    }


def suspicious(probabilities: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """The rows whose label is doubtful, the most doubtful first; hard and ironic texts are among them.

    By confident learning (Northcutt et al. 2021): another class is at least as probable as on average for that
    class's own texts.

    Args:
        probabilities: From models that have not seen the row, (rows, classes).
        labels: (rows,); each class occurs.
    """
    rows = np.arange(len(labels))
    usual = np.array([probabilities[labels == label, label].mean() for label in range(probabilities.shape[1])])
    confident = np.where(probabilities >= usual, probabilities, -1)
    guess = confident.argmax(1)
    doubtful = np.flatnonzero((confident.max(1) >= 0) & (guess != labels))
    margin = probabilities[rows, labels] - probabilities[rows, guess]
    return doubtful[np.argsort(margin[doubtful], kind="stable")]


def _features(texts: list[str]) -> Any:
    """TF-IDF of all texts together: it sees no labels, so it leaks none between the folds."""
    from sklearn.feature_extraction.text import HashingVectorizer, TfidfTransformer

    # hashed: a vocabulary of all word pairs takes twice the time and several times the memory, for 0.4 points
    # more; float32 halves the memory
    how: dict[str, Any] = {"alternate_sign": False, "norm": None, "dtype": np.float32}
    counts = HashingVectorizer(ngram_range=(1, 2), n_features=FEATURES, **how).transform(texts)
    counts = counts[:, counts.getnnz(axis=0) > 1]  # a word of one text alone tells nothing of others
    return TfidfTransformer(sublinear_tf=True).fit_transform(counts) if counts.nnz else counts
