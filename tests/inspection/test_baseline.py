import random

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
        texts.append(Text("train", content, ["neg", "pos"][(n + (n in wrong)) % 2], f"line {n}", b"%d" % n))
    return texts


def test_wrong_labels_are_the_suspicious_ones():
    wrong = {7, 30, 55, 110}
    found = linear_baseline(reviews(160, wrong))
    assert set(found["rows"]) == wrong
    assert found["suspicious"] == len(wrong)
    assert found["accuracy"] == found["f1"] == 1 - 4 / 160
    assert found["majority"] == 0.5
    assert {(e["where"], e["label"], e["likelier"]) for e in found["examples"]} == {
        (f"line {n}", ["pos", "neg"][n % 2], ["neg", "pos"][n % 2]) for n in wrong
    }


def test_the_accuracy_is_that_of_scikit_learns_own_cross_validation():
    from sklearn.feature_extraction.text import TfidfVectorizer
    from sklearn.linear_model import LogisticRegression
    from sklearn.model_selection import StratifiedKFold, cross_val_predict

    rng = random.Random(1)
    texts = [
        text._replace(text=" ".join(rng.choice(GOOD + BAD * (1 + (text.label == "neg"))) for _ in range(8)))
        for text in reviews(120)
    ]
    labels = [text.label for text in texts]
    features = TfidfVectorizer(ngram_range=(1, 2), sublinear_tf=True).fit_transform(text.text for text in texts)
    folds = StratifiedKFold(5, shuffle=True, random_state=0)
    predicted = cross_val_predict(LogisticRegression(C=4), features, labels, cv=folds)
    accuracy = np.mean(predicted == np.array(labels))
    assert 0.5 < accuracy < 0.9
    assert linear_baseline(texts)["accuracy"] == pytest.approx(accuracy)


@pytest.mark.parametrize(
    "texts",
    [reviews(10), [t._replace(label="pos") for t in reviews(60)], [t._replace(text="?!") for t in reviews(60)], []],
    ids=["few", "one class", "no words", "none"],
)
def test_where_nothing_can_be_learnt(texts):
    assert set(linear_baseline(texts)) == {"skipped"}


def test_a_class_too_small_for_the_folds_is_left_out():
    texts = [*reviews(60), *(t._replace(label="odd") for t in reviews(3))]
    assert linear_baseline(texts)["texts"] == 60


def test_suspicious_rows_come_in_order():
    probabilities = np.array([[0.9, 0.1], [0.8, 0.2], [0.05, 0.95], [0.2, 0.8], [0.1, 0.9], [0.45, 0.55]])
    labels = np.array([0, 0, 0, 1, 1, 0])
    # class 1 is given 0.85 on average to its own: row 2 reaches that, row 5 does not
    assert suspicious(probabilities, labels).tolist() == [2]
    assert suspicious(probabilities, np.array([0, 1, 0, 1, 1, 0])).tolist() == [2, 1]
