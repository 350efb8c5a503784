import random

import numpy as np
import pytest

from lightning_nlp.inspection import near_duplicates as duplicates
from lightning_nlp.inspection.near_duplicates import near_duplicates, shingles
from lightning_nlp.inspection.reading import Text


def text(number, words, split="train", label="a"):
    return Text(split, " ".join(words), label, f"{split} {number}")


def random_words(seed, n=60):
    rng = random.Random(seed)
    return [f"w{rng.randrange(5000)}" for _ in range(n)]


def test_words_and_their_order_matter_and_nothing_else():
    assert np.array_equal(shingles("It was, in the END, a good film."), shingles("it was in the end a good film"))
    assert len(shingles("good film")) == len(shingles("")) == 1
    assert not np.array_equal(shingles("good film"), shingles("film good"))


def test_planted_pairs_are_found_and_no_others():
    originals = [random_words(seed) for seed in range(200)]
    texts = [text(n, words) for n, words in enumerate(originals)]
    texts += [text(200 + n, [*originals[n][:-1], "changed"]) for n in range(30)]  # 0.97
    texts += [text(300 + n, originals[n][20:] + random_words(n + 999, 20)) for n in range(100, 130)]  # 0.49: too little
    texts += [text(400 + n, ["changed", *originals[n][1:]], "test", "ab"[n % 2]) for n in range(150, 170)]
    found = near_duplicates(texts)
    assert found["texts"] == {"train": 260, "test": 20}
    assert found["repeats"] == {"train": 30, "test": 0}
    assert found["in_train"] == {"test": 20}
    first = found["examples"][0]
    assert (first["first"], first["again"], first["labels"]) == ("train 151", "test 551", "a, b")
    assert first["similarity"] == pytest.approx(55 / 57, abs=0.001)


def test_a_template_is_compared_with_a_few_of_its_like(monkeypatch):
    compared = []
    monkeypatch.setattr(duplicates, "MOST_COMPARED", 5)
    monkeypatch.setattr(duplicates, "_jaccard", lambda one, other: compared.append(1) or 1.0)
    texts = [text(n, [*random_words(0), str(n)]) for n in range(300)]
    assert near_duplicates(texts)["repeats"] == {"train": 299}
    assert len(compared) <= 5 * 300
