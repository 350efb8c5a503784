import pytest
import torch

from lightning_nlp.evaluation.classes import class_scores

PREDICTED = torch.tensor([0, 2, 1, 1, 0, 0, 2])
LABELS = torch.tensor([0, 1, 2, 1, 1, 0, 2])


@pytest.mark.parametrize("number", [3, 4])
def test_scores_are_those_of_scikit_learn_without_a_class_that_never_occurs(number):
    from sklearn.metrics import accuracy_score, precision_recall_fscore_support

    scores = class_scores(number)
    logits = torch.nn.functional.one_hot(PREDICTED, number).float() - 5
    scores.update(logits[:4], LABELS[:4])
    scores.update(logits[4:], LABELS[4:])
    macro = precision_recall_fscore_support(LABELS, PREDICTED, average="macro", zero_division=0)
    expected = dict(zip(("precision", "recall", "f1"), macro, strict=False))
    found = {name: value.item() for name, value in scores.compute().items()}
    assert found == pytest.approx(expected | {"accuracy": accuracy_score(LABELS, PREDICTED)})


def test_a_class_that_is_predicted_and_absent_counts_as_wrong_and_fillers_not_at_all():
    scores = class_scores(4)
    scores.update(torch.tensor([3, 3, 0]), torch.tensor([0, 1, -100]))
    assert [value.item() for value in scores.compute().values()] == [0, 0, 0, 0]
