import random
import sys

import numpy as np
import pytest

from lightning_nlp.inspection.baseline import linear_baseline, suspicious
from lightning_nlp.inspection.reading import Text
from tests.conftest import BAD, GOOD, NOUNS


def reviews(number, wrong=()):
    rng = random.Random(0)
    texts = []
    for n in range(number):
        words = GOOD if n % 2 else BAD
        content = f"the {rng.choice(NOUNS)} was {rng.choice(words)}, the {rng.choice(NOUNS)} {rng.choice(words)} {n}"
        texts.append(Text("train", content, ["neg", "pos"][(n + (n in wrong)) % 2], f"line {n}"))
    return texts


def test_wrong_labels_are_the_suspicious_ones():
    wrong = {7, 30, 55, 110}
    found = linear_baseline(reviews(160, wrong))
    assert found["suspicious"] == len(wrong)
    assert found["accuracy"] == found["f1"] == 1 - 4 / 160
    assert found["majority"] == 0.5
    assert {(e["where"], e["label"], e["likelier"]) for e in found["examples"]} == {
        (f"line {n}", ["pos", "neg"][n % 2], ["neg", "pos"][n % 2]) for n in wrong
    }


@pytest.mark.parametrize(
    "texts",
    [reviews(10), [t._replace(label="pos") for t in reviews(60)], [t._replace(text="?!") for t in reviews(60)], []],
    ids=["few", "one class", "no words", "none"],
)
def test_where_nothing_can_be_learnt(texts):
    assert set(linear_baseline(texts)) == {"skipped"}


def test_without_scikit_learn_one_line_says_what_is_left_out(monkeypatch):
    monkeypatch.setitem(sys.modules, "sklearn.linear_model", None)
    (reason,) = linear_baseline(reviews(60)).values()
    assert reason == "it, and the labels that look wrong, need scikit-learn: pip install -e '.[inspect]'"


def test_a_class_too_small_for_the_folds_is_left_out():
    texts = [*reviews(60), *(t._replace(label="odd") for t in reviews(3))]
    assert linear_baseline(texts)["texts"] == 60


def test_suspicious_rows_come_in_order():
    probabilities = np.array([[0.9, 0.1], [0.8, 0.2], [0.05, 0.95], [0.2, 0.8], [0.1, 0.9], [0.45, 0.55]])
    labels = np.array([0, 0, 0, 1, 1, 0])
    # class 1 is given 0.85 on average to its own: row 2 reaches that, row 5 does not
    assert suspicious(probabilities, labels).tolist() == [2]
    assert suspicious(probabilities, np.array([0, 1, 0, 1, 1, 0])).tolist() == [2, 1]
