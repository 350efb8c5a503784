import re

import numpy as np
import pytest

from lightning_nlp.evaluation.drawing import draw
from lightning_nlp.evaluation.figures import figures_of
from lightning_nlp.evaluation.number import number_scores
from lightning_nlp.evaluation.records import number_record


def test_the_scores_are_those_of_scipy_and_scikit_learn():
    from scipy.stats import pearsonr, spearmanr
    from sklearn.metrics import mean_absolute_error, mean_squared_error, r2_score

    rng = np.random.default_rng(0)
    labels = np.round(1000 + 30 * rng.normal(size=400), 0).astype(np.float32)  # with ties, far from 0
    predicted = np.round(labels + 20 * rng.normal(size=400), 0).astype(np.float32)
    found = number_scores(predicted[:, None], labels)
    one, other = predicted.astype(np.float64), labels.astype(np.float64)
    assert found["pearson"] == pytest.approx(pearsonr(one, other).statistic, abs=1e-12)
    assert found["spearman"] == pytest.approx(spearmanr(one, other).statistic, abs=1e-12)
    assert found["r2"] == pytest.approx(r2_score(other, one), abs=1e-12)
    assert found["mse"] == pytest.approx(mean_squared_error(other, one))
    assert found["mae"] == pytest.approx(mean_absolute_error(other, one))


def test_what_is_not_defined_is_0():
    labels = np.array([1.0, 2.0, 3.0])
    assert number_scores(np.full(3, 0.1), labels)["pearson"] == number_scores(np.full(3, 0.1), labels)["spearman"] == 0
    found = number_scores(labels, np.full(3, 2.0))
    assert (found["r2"], found["pearson"], found["spearman"]) == (0, 0, 0)
    assert found["mae"] == pytest.approx(2 / 3)
    assert number_scores(labels[:1], labels[:1]) == {"mse": 0, "mae": 0, "r2": 0, "pearson": 0, "spearman": 0}


def test_the_record_has_a_scatter_on_equal_axes():
    labels = np.linspace(0, 100, 1000)
    record = number_record((labels + 5)[:, None], labels, np.ones(1000), [])
    (figure,) = figures_of(record)
    assert len(figure.dots) == 200
    assert "label" in figure.text
    ends = re.search(r'class="mark" d="M([\d.]+) ([\d.]+)L([\d.]+) ([\d.]+)"', draw(figure))
    dots = re.findall(r'cx="([\d.]+)" cy="([\d.]+)"', draw(figure))
    left, bottom, right, top = map(float, ends.groups())
    above = [bottom - (float(x) - left) / (right - left) * (bottom - top) - float(y) for x, y in dots]
    assert above == pytest.approx([above[0]] * len(dots), abs=0.2), "all are 5 above the line"
    assert above[0] > 3
    assert record["constant"] == []
    assert number_record(labels[:2, None], np.ones(2), np.ones(2), [])["constant"] == ["labels"]
    assert number_record(np.ones((2, 1)), labels[:2], np.ones(2), [])["constant"] == ["predictions"]
