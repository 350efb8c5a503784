import numpy as np
import pytest
from sklearn.metrics import average_precision_score, precision_recall_curve, roc_auc_score, roc_curve

from lightning_nlp.evaluation.curves import POINTS, class_curves, thinned


@pytest.fixture(params=[30, 5000])
def scored(request):
    rng = np.random.default_rng(0)
    positive = rng.random(request.param) < 0.3
    scores = np.clip(rng.normal(0.4 + 0.2 * positive, 0.2), 0, 1).round(2 if request.param == 30 else 9)  # with ties
    return scores, positive


def test_curves_and_areas_are_scikit_learns(scored):
    found = class_curves(*scored)
    scores, positive = scored
    precision, recall, limits = precision_recall_curve(positive, scores)
    whole = {round(t, 9): (r, p) for t, r, p in zip(limits, recall[:-1], precision[:-1], strict=True)}
    assert len(found["pr"]["threshold"]) == min(POINTS, len(found["pr"]["threshold"])) > 10
    for limit, r, p in zip(*(found["pr"][name] for name in ("threshold", "recall", "precision")), strict=True):
        assert (r, p) == pytest.approx(whole[round(float(limit), 9)], abs=1e-6)
    false_rate, true_rate, _ = roc_curve(positive, scores, drop_intermediate=False)
    rates = {(round(float(x), 5), round(float(y), 5)) for x, y in zip(false_rate, true_rate, strict=True)}
    roc = found["roc"]
    drawn = {(round(float(x), 5), round(float(y), 5)) for x, y in zip(roc["fpr"], roc["tpr"], strict=True)}
    assert drawn <= rates
    assert {(0.0, 0.0), (1.0, 1.0)} <= drawn
    assert found["average_precision"] == pytest.approx(average_precision_score(positive, scores), abs=1e-6)
    assert found["auc"] == pytest.approx(roc_auc_score(positive, scores), abs=1e-6)


@pytest.mark.parametrize("positive", [[True] * 5, [False] * 5])
def test_a_class_without_rest_or_without_texts_has_no_curves(positive):
    assert set(class_curves(np.linspace(0, 1, 5), np.array(positive)).values()) == {None}


def test_equal_scores_have_curves():
    found = class_curves(np.full(4, 0.5), np.array([True, False, True, False]))
    assert found["auc"] == 0.5
    assert found["average_precision"] == 0.5


def test_a_thinned_curve_keeps_its_ends_and_its_steep_parts():
    x = np.linspace(0, 1, 10_000)
    y = np.where(x < 0.001, 1000 * x, 1.0)  # rises within 10 points
    kept = thinned(x, y)
    assert len(kept) <= POINTS
    assert (kept[0], kept[-1]) == (0, 9999)
    assert (kept < 11).sum() >= 10
    assert np.abs(np.diff(x[kept])).max() < 0.02
