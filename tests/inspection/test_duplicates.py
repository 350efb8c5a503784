import random

import numpy as np
import pytest

from lightning_nlp.inspection.duplicates import THRESHOLD, near_duplicates, shingles
from lightning_nlp.inspection.reading import Text


def text(number, words, split="train", label="a"):
    return Text(split, " ".join(words), label, f"{split} {number}", b"%d" % number)


def random_words(seed, n=60):
    rng = random.Random(seed)
    return [f"w{rng.randrange(5000)}" for _ in range(n)]


def by_hand(one, other):
    """The share of five-word runs, of strings."""
    runs = [{tuple(words[i : i + 5]) for i in range(len(words) - 4)} for words in (one, other)]
    return len(runs[0] & runs[1]) / len(runs[0] | runs[1])


@pytest.mark.parametrize("changed", [1, 2, 3, 5, 8])
def test_shingles_give_the_similarity_of_strings(changed):
    one = random_words(0)
    other = [f"x{i}" if i in range(10, 10 + 6 * changed, 6) else word for i, word in enumerate(one)]
    hashed = shingles(" ".join(one)), shingles(" ".join(other))
    both = len(np.intersect1d(*hashed))
    assert both / len(np.union1d(*hashed)) == pytest.approx(by_hand(one, other))


def test_capitals_and_punctuation_do_not_matter():
    assert np.array_equal(shingles("It was, in the END, a good film."), shingles("it was in the end a good film"))


def test_short_texts_are_one_run():
    assert len(shingles("good film")) == len(shingles("")) == 1
    assert not np.array_equal(shingles("good film"), shingles("film good"))


def test_planted_pairs_are_found_and_no_others():
    originals = [random_words(seed) for seed in range(200)]
    texts = [text(n, words) for n, words in enumerate(originals)]
    texts += [text(200 + n, [*originals[n][:-1], "changed"]) for n in range(30)]  # 0.97
    texts += [text(300 + n, originals[n][20:] + random_words(n + 999, 20)) for n in range(100, 130)]  # 0.49
    texts += [text(400 + n, ["changed", *originals[n][1:]], "test", "ab"[n % 2]) for n in range(150, 170)]
    assert by_hand(originals[100], originals[100][20:] + random_words(1099, 20)) < THRESHOLD
    found = near_duplicates(texts)
    assert found["texts"] == {"train": 260, "test": 20}
    assert found["repeats"] == {"train": 30, "test": 0}
    assert found["shared_texts"] == {"train and test": 20}
    assert found["conflicts"] == 10
    first = found["examples"][0]
    assert (first["first"], first["again"], first["labels"]) == ("train 151", "test 551", "a, b")
    assert first["similarity"] == pytest.approx(55 / 57, abs=0.001)


def test_the_same_texts_give_the_same_answer():
    texts = [text(n, [*random_words(n % 50), str(n)]) for n in range(150)]
    assert near_duplicates(texts) == near_duplicates(texts)
