import numpy as np
import pytest

from lightning_nlp.evaluation.several import label_scores


@pytest.mark.filterwarnings("ignore:No positive class found:UserWarning")
def test_the_scores_are_those_of_scikit_learn_even_of_a_label_without_positives():
    from sklearn.metrics import accuracy_score, average_precision_score, f1_score

    rng = np.random.default_rng(0)
    labels = (rng.random((300, 5)) < [0.5, 0.1, 0.9, 0.02, 0.0]).astype(np.int64)
    logits = np.round(rng.normal(size=(300, 5)) + labels - 0.5, 1).astype(np.float32)  # with ties
    given, found = logits >= 0, label_scores(logits, labels)
    assert found["f1"] == pytest.approx(f1_score(labels, given, average="macro", zero_division=0))
    assert found["f1_micro"] == pytest.approx(f1_score(labels, given, average="micro"))
    assert found["subset_accuracy"] == pytest.approx(accuracy_score(labels, given))
    assert found["average_precision"] == pytest.approx(average_precision_score(labels, logits, average="macro"))
