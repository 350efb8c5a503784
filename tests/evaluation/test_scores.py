import numpy as np
import pytest
from scipy.stats import pearsonr, spearmanr
from sklearn import metrics

from lightning_nlp.evaluation.scores import label_scores, number_scores


@pytest.mark.filterwarnings("ignore:No positive class found:UserWarning")
def test_labels_are_scored_as_by_scikit_learn_even_one_without_positives():
    rng = np.random.default_rng(0)
    labels = (rng.random((300, 5)) < [0.5, 0.1, 0.9, 0.02, 0.0]).astype(np.int64)
    logits = np.round(rng.normal(size=(300, 5)) + labels - 0.5, 1).astype(np.float32)  # with ties
    given = logits >= 0
    expected = {
        "f1": metrics.f1_score(labels, given, average="macro", zero_division=0),
        "f1_micro": metrics.f1_score(labels, given, average="micro"),
        "subset_accuracy": metrics.accuracy_score(labels, given),
        "average_precision": metrics.average_precision_score(labels, logits, average="macro"),
    }
    assert label_scores(logits, labels) == pytest.approx(expected)


def test_numbers_are_scored_as_by_scipy_and_scikit_learn():
    rng = np.random.default_rng(0)
    labels = np.round(1000 + 30 * rng.normal(size=400), 0).astype(np.float32)  # with ties, far from 0
    predicted = np.round(labels + 20 * rng.normal(size=400), 0).astype(np.float32)
    one, other = predicted.astype(np.float64), labels.astype(np.float64)
    expected = {
        "mse": metrics.mean_squared_error(other, one),
        "mae": metrics.mean_absolute_error(other, one),
        "r2": metrics.r2_score(other, one),
        "pearson": pearsonr(one, other).statistic,
        "spearman": spearmanr(one, other).statistic,
    }
    assert number_scores(predicted[:, None], labels) == pytest.approx(expected, abs=1e-12)


def test_what_is_not_defined_is_0():
    labels = np.array([1.0, 2.0, 3.0])
    assert number_scores(np.full(3, 0.1), labels)["pearson"] == number_scores(np.full(3, 0.1), labels)["spearman"] == 0
    found = number_scores(labels, np.full(3, 2.0))
    assert (found["r2"], found["pearson"], found["spearman"]) == (0, 0, 0)
    assert number_scores(labels[:1], labels[:1]) == {"mse": 0, "mae": 0, "r2": 0, "pearson": 0, "spearman": 0}
