import random
import sys

import pytest

from lightning_nlp.inspection.baseline import linear_baseline
from tests.conftest import BAD, GOOD, NOUNS


def reviews(number, wrong=()):
    rng = random.Random(0)
    texts = []
    for n in range(number):
        words = GOOD if n % 2 else BAD
        text = f"the {rng.choice(NOUNS)} was {rng.choice(words)}, the {rng.choice(NOUNS)} {rng.choice(words)} {n}"
        texts.append((text, ["neg", "pos"][(n + (n in wrong)) % 2]))
    return texts


def test_it_is_right_on_all_but_the_wrong_labels_and_leaves_out_a_class_too_small_for_the_folds():
    found = linear_baseline([*reviews(160, {7, 30, 55, 110}), *[(text, "odd") for text, _ in reviews(3)]])
    assert found["texts"] == 160
    assert found["accuracy"] == found["f1"] == 1 - 4 / 160
    assert found["error"] == pytest.approx((0.975 * 0.025 / 160) ** 0.5, abs=1e-6)
    assert found["majority"] == 0.5


@pytest.mark.parametrize(
    "texts",
    [reviews(10), [(text, "pos") for text, _ in reviews(60)], [("?!", label) for _, label in reviews(60)], []],
    ids=["few", "one class", "no words", "none"],
)
def test_where_nothing_can_be_learnt(texts):
    assert set(linear_baseline(texts)) == {"skipped"}


def test_without_scikit_learn_one_line_says_so(monkeypatch):
    monkeypatch.setitem(sys.modules, "sklearn.linear_model", None)
    assert linear_baseline(reviews(60)) == {"skipped": "it needs scikit-learn: pip install -e '.[inspect]'"}
