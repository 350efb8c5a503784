import numpy as np
import pytest
from sklearn import metrics

from lightning_nlp.evaluation.curves import POINTS, choose_thresholds, class_curves, figures_at, thinned


@pytest.fixture(params=[30, 5000])
def scored(request):
    rng = np.random.default_rng(0)
    positive = rng.random(request.param) < 0.3
    scores = np.clip(rng.normal(0.4 + 0.2 * positive, 0.2), 0, 1).round(2 if request.param == 30 else 9)  # with ties
    return scores, positive


def test_curves_and_areas_are_scikit_learns(scored):
    found, (scores, positive) = class_curves(*scored), scored
    precision, recall, limits = metrics.precision_recall_curve(positive, scores)
    false_rate, true_rate, _ = metrics.roc_curve(positive, scores, drop_intermediate=False)
    whole = {
        "pr": {*zip(limits.round(9), recall[:-1].round(9), precision[:-1].round(9), strict=True)},
        "roc": {*zip(false_rate.round(9), true_rate.round(9), strict=True)},
    }
    for name, columns in (("pr", ("threshold", "recall", "precision")), ("roc", ("fpr", "tpr"))):
        drawn = {*zip(*(found[name][column].round(9) for column in columns), strict=True)}
        assert drawn <= whole[name]
        assert 10 < len(drawn) <= POINTS
    assert {(0.0, 0.0), (1.0, 1.0)} <= drawn
    assert found["average_precision"] == pytest.approx(metrics.average_precision_score(positive, scores))
    assert found["auc"] == pytest.approx(metrics.roc_auc_score(positive, scores))


@pytest.mark.parametrize("positive", [[True] * 5, [False] * 5])
def test_a_class_without_rest_or_without_texts_has_no_curves(positive):
    assert set(class_curves(np.linspace(0, 1, 5), np.array(positive)).values()) == {None}


def test_a_thinned_curve_keeps_its_ends_and_its_steep_parts():
    x = np.linspace(0, 1, 10_000)
    y = np.where(x < 0.001, 1000 * x, 1.0)  # rises within 10 points
    kept = thinned(x, y)
    assert len(kept) <= POINTS
    assert (kept[0], kept[-1]) == (0, 9999)
    assert (kept < 11).sum() >= 10
    assert np.abs(np.diff(x[kept])).max() < 0.02


@pytest.mark.parametrize("steps", [None, 20])
def test_no_threshold_is_better_and_it_gives_what_it_was_chosen_for(steps):
    rng = np.random.default_rng(0)
    labels = rng.integers(0, 3, 400)
    weights = rng.random((400, 3)) + 0.7 * np.eye(3)[labels]
    scores = weights / weights.sum(axis=1, keepdims=True)
    scores = scores if steps is None else np.round(scores * steps) / steps  # with ties
    true = labels[:, None] == np.arange(3)
    for i, found in enumerate(choose_thresholds(scores, true, wanted=0.8)):
        precision, recall, limits = metrics.precision_recall_curve(true[:, i], scores[:, i])
        f1 = 2 * precision * recall / np.maximum(precision + recall, 1e-9)
        best, lowest = found["best_f1"], limits[f1.argmax()]
        assert best["f1"] == pytest.approx(f1.max(), abs=1e-6)
        assert best["threshold"] == pytest.approx((lowest + max(limits[limits < lowest])) / 2, abs=1e-6)
        assert found["wanted"]["recall"] == pytest.approx(recall[:-1][precision[:-1] >= 0.8].max(), abs=1e-6)
        assert found["wanted"]["precision"] == 0.8
        taken = scores[:, i] >= best["threshold"]  # as rounded as it is stored
        judges = (metrics.precision_score, metrics.recall_score, metrics.f1_score)
        expected = [judge(true[:, i], taken) for judge in judges]
        assert list(figures_at(scores[:, i], true[:, i], best["threshold"]).values()) == pytest.approx(
            expected, abs=1e-6
        )
        assert [best[name] for name in ("precision", "recall", "f1")] == pytest.approx(expected, abs=1e-6)


def test_a_threshold_lies_in_the_middle_of_its_gap():
    scores, true = np.array([[0.99], [0.96], [0.02]]), np.array([[True], [True], [False]])
    (found,) = choose_thresholds(scores, true)
    assert found["best_f1"]["threshold"] == found["wanted"]["threshold"] == pytest.approx(0.49, abs=1e-6)
    (found,) = choose_thresholds(scores[:2], true[:2])
    assert found["best_f1"]["threshold"] == pytest.approx(0.48, abs=1e-6), "nothing is below"


def test_what_cannot_be_reached_is_none_and_nothing_predicted_is_0():
    scores, true = np.array([[0.9, 0.1], [0.8, 0.2], [0.7, 0.3]]), np.array([[0, 1], [1, 0], [1, 0]]) > 0
    assert [found["wanted"] for found in choose_thresholds(scores, true)] == [None, None]  # the surest ones are wrong
    nothing = {"best_f1": None, "wanted": None}
    assert choose_thresholds(scores, np.zeros((3, 2), dtype=bool)) == [nothing] * 2
    assert choose_thresholds(np.zeros((0, 2)), np.zeros((0, 2), dtype=bool)) == [nothing] * 2
    for score, positive in ((0.1, True), (0.6, False)):
        found = figures_at(np.array([score]), np.array([positive]), 0.5)
        assert found == {"precision": 0, "recall": 0, "f1": 0}
