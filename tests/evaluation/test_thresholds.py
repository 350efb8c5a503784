import numpy as np
import pytest
from sklearn.metrics import f1_score, precision_recall_curve, precision_score, recall_score

from lightning_nlp.evaluation.thresholds import choose_thresholds, figures_at


def scored(number=400, seed=0, steps=None):
    """Probabilities of three classes that tell something, with ties if there are few steps, and labels."""
    rng = np.random.default_rng(seed)
    labels = rng.integers(0, 3, number)
    weights = rng.random((number, 3)) + 0.7 * np.eye(3)[labels]
    scores = weights / weights.sum(axis=1, keepdims=True)
    return (scores if steps is None else np.round(scores * steps) / steps), labels


@pytest.mark.parametrize("steps", [None, 20])
def test_no_threshold_is_better(steps):
    scores, labels = scored(steps=steps)
    for i, found in enumerate(choose_thresholds(scores, labels, wanted=0.8)):
        precision, recall, limits = precision_recall_curve(labels == i, scores[:, i])
        f1 = 2 * precision * recall / np.maximum(precision + recall, 1e-9)
        assert found["best_f1"]["f1"] == pytest.approx(f1.max(), abs=1e-6)
        assert found["best_f1"]["threshold"] == pytest.approx(limits[f1.argmax()], abs=1e-6)
        assert found["wanted"]["recall"] == pytest.approx(recall[:-1][precision[:-1] >= 0.8].max(), abs=1e-6)
        assert found["wanted"]["precision"] == 0.8


def test_the_figures_at_a_threshold_are_those_it_was_chosen_for():
    scores, labels = scored()
    for i, found in enumerate(choose_thresholds(scores, labels)):
        best = found["best_f1"]
        again = figures_at(scores[:, i], labels == i, best["threshold"])
        assert again == {name: best[name] for name in ("precision", "recall", "f1")}  # as rounded as it is stored
        taken, truth = scores[:, i] >= 0.4, labels == i
        at = figures_at(scores[:, i], truth, 0.4)
        for name, judge in (("precision", precision_score), ("recall", recall_score), ("f1", f1_score)):
            assert at[name] == pytest.approx(judge(truth, taken), abs=1e-6)


def test_what_cannot_be_reached_is_none():
    scores, labels = np.array([[0.9, 0.1], [0.8, 0.2], [0.7, 0.3]]), np.array([1, 0, 0])
    first, second = choose_thresholds(scores, labels)
    assert first["wanted"] is None  # the surest one is wrong
    assert second["wanted"] is None
    assert choose_thresholds(scores, np.zeros(3, dtype=int))[1] == {"best_f1": None, "wanted": None}
    assert choose_thresholds(np.zeros((0, 2)), np.zeros(0, dtype=int)) == [{"best_f1": None, "wanted": None}] * 2


def test_nothing_taken_and_nothing_there():
    assert figures_at(np.array([0.1, 0.2]), np.array([True, False]), 0.5) == {"precision": 0, "recall": 0, "f1": 0}
    assert figures_at(np.array([0.6]), np.array([False]), 0.5) == {"precision": 0, "recall": 0, "f1": 0}
