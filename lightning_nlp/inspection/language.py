"""Which language texts are in, by py3langid: naive Bayes over byte sequences, its model in the package, no network."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Any

import numpy as np

from lightning_nlp.inspection.reading import SHOWN, Text, excerpt

MOST_LOOKED_AT = 2000  # texts of a split, drawn at random
READ = 400  # characters of each: enough to tell
LEAST_LETTERS = 40  # of shorter texts no language can be told
SURE = 0.95


def languages(texts: Sequence[Text], *, seed: int = 0) -> dict[str, Any] | None:
    """Count the languages of one split's texts.

    A text counts as another language only if the classifier is sure and the text is long enough: titles, names and
    mixed sentences fool it.

    Args:
        texts: Cleaned texts.
        seed: Of the sample.

    Returns:
        `texts` (looked at, long enough), `language` (of most of them, ISO 639-1), `others` (texts surely in another
        one), `other_languages` (counts), `examples`; None if no text is long enough.
    """
    from py3langid.langid import MODEL_FILE, LanguageIdentifier

    identifier = LanguageIdentifier.from_model_file(MODEL_FILE, norm_probs=True)
    chosen = np.sort(np.random.default_rng(seed).permutation(len(texts))[:MOST_LOOKED_AT]).tolist()
    told = []
    for number in chosen:
        beginning = texts[number].text[:READ]
        if sum(map(str.isalpha, beginning)) >= LEAST_LETTERS:
            language, probability = identifier.classify(beginning)
            told.append((texts[number], str(language), float(probability)))
    if not told:
        return None
    main = Counter(language for _, language, _ in told).most_common(1)[0][0]
    others = [entry for entry in told if entry[1] != main and entry[2] >= SURE]
    return {
        "texts": len(told),
        "language": main,
        "others": len(others),
        "other_languages": dict(Counter(language for _, language, _ in others).most_common()),
        "examples": [
            {"text": excerpt(text.text), "where": text.where, "language": language}
            for text, language, _ in others[:SHOWN]
        ],
    }
