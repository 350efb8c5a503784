import numpy as np
import pytest
import torch
from sklearn.utils.class_weight import compute_class_weight

from lightning_nlp.errors import UserError
from lightning_nlp.models.class_weights import check_class_weights, class_weights

NAMES = ["bad", "fair", "good"]


def test_balanced_weights_of_classes_are_those_of_scikit_learn():
    labels = np.array([0, 1, 2, 1, 1, 0, 2, 2, 0, 1, 1, 1])
    expected = compute_class_weight("balanced", classes=np.arange(3), y=labels)
    facts = {"class_counts": np.bincount(labels).tolist()}
    torch.testing.assert_close(class_weights("balanced", facts, NAMES).double(), torch.from_numpy(expected))


def test_balanced_weights_of_labels_are_negatives_for_each_positive():
    facts = {"problem": "labels", "class_counts": [25, 80], "rows": 100}
    assert class_weights("balanced", facts, ["a", "b"]).tolist() == [3.0, 0.25]


@pytest.mark.parametrize(
    ("setting", "counts", "words"),
    [
        ("even", None, "class_weights is 'even': give --model.class_weights balanced, or a list"),
        ([1.0, -1.0, 1.0], None, "--model.class_weights must be at least 0"),
        ([0.0, 0.0, 0.0], None, "all 0: change --model.class_weights"),
        ([1.0, 2.0], None, r"2 weights for 3 classes \(bad, fair, good\): give --model.class_weights one for each"),
        ("balanced", None, "needs a data module to count: give --model.class_weights a list"),
        ("balanced", [2, 0, 2], "No training example has the label 'fair'.*--model.class_weights a list or null"),
    ],
)
def test_weights_that_cannot_be_meant(setting, counts, words):
    def weights():
        check_class_weights(setting)
        return class_weights(setting, {"class_counts": counts}, NAMES)

    with pytest.raises(UserError, match=words):
        weights()
