import math

import numpy as np
import pytest
from sklearn.calibration import calibration_curve
from sklearn.metrics import log_loss

from lightning_nlp.evaluation import temperature
from lightning_nlp.evaluation.temperature import calibration, calibration_error, fit_temperature, probabilities


def drawn(number=4000, classes=3, spread=2.0, seed=0):
    """Logits, and labels drawn from the very probabilities that they state: calibrated but for chance."""
    rng = np.random.default_rng(seed)
    logits = rng.normal(scale=spread, size=(number, classes))
    chances = probabilities(logits).cumsum(axis=1)
    labels = (rng.random((number, 1)) > chances).sum(axis=1)
    return logits, labels


@pytest.mark.parametrize("factor", [0.1, 0.5, 1.0, 2.5, 8.0])
@pytest.mark.parametrize("classes", [2, 5])
def test_a_known_temperature_is_found(factor, classes):
    logits, labels = drawn(classes=classes)
    chance = fit_temperature(logits, labels)  # 1 but for chance
    assert chance == pytest.approx(1, abs=0.05)
    assert fit_temperature(logits * factor, labels) == pytest.approx(chance * factor, rel=1e-5)


def test_overconfidence_is_taken_back():
    logits, labels = drawn()
    wild = (logits * 3).astype(np.float32)  # as a file of predictions has them
    found = calibration(wild, labels, fit_temperature(wild, labels))
    assert found["temperature"] == pytest.approx(3, rel=0.05)
    assert found["ece_before"] > 0.1 > 0.02 > found["ece_after"]
    assert found["loss_after"] < found["loss_before"] == pytest.approx(log_loss(labels, probabilities(wild)), abs=1e-6)


def test_the_calibration_error_by_hand():
    # confidences 0.9 and 0.92 in the bin (13/15, 14/15], 0.55 in (8/15, 9/15]
    stated = np.array([[0.9, 0.1], [0.08, 0.92], [0.55, 0.45]])
    labels = np.array([0, 0, 0])  # right, wrong, right
    assert calibration_error(stated, labels) == pytest.approx((2 * abs(0.91 - 0.5) + abs(0.55 - 1)) / 3)
    # 0.6 is the upper edge of a bin, 1 that of the last
    assert calibration_error(np.array([[0.6, 0.4], [1.0, 0.0]]), np.array([0, 0])) == pytest.approx(0.4 / 2)
    assert calibration_error(np.zeros((0, 2)), np.zeros(0)) == 0


@pytest.mark.parametrize(
    ("logits", "labels"),
    [
        (np.zeros((0, 2)), np.zeros(0)),
        (np.ones((40, 2)), np.zeros(40)),
        (np.zeros((100, 3)), np.arange(100) % 3),
        (np.repeat([[3.0, -1.0]], 100, axis=0), np.zeros(100)),  # no mistake: the best T is 0
        (np.repeat([[3.0, -1.0]], 100, axis=0), np.ones(100)),  # nothing but mistakes: the best T has no end
        (np.full((100, 2), math.nan), np.zeros(100)),
        (np.tile([[1e300, -1e300], [0.0, 1.0]], (50, 1)), np.arange(100) % 2),
    ],
    ids=["empty", "few", "alike", "all right", "all wrong", "nan", "huge"],
)
def test_where_nothing_can_be_fitted_the_temperature_is_1(logits, labels):
    assert fit_temperature(logits, labels.astype(int)) == 1


def test_reliability_is_scikit_learns():
    rng = np.random.default_rng(0)
    confidence = rng.uniform(0.5, 1, 2000)
    right = rng.random(2000) < confidence**2
    bins = temperature.reliability(confidence, right)
    accuracies, confidences = calibration_curve(right, confidence, n_bins=temperature.BINS)
    assert [b["accuracy"] for b in bins] == pytest.approx(accuracies.tolist())
    assert [b["confidence"] for b in bins] == pytest.approx(confidences.tolist())
    assert sum(b["examples"] for b in bins) == 2000
