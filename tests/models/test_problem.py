import pytest
import torch
import torch.nn.functional as F

from lightning_nlp.errors import UserError
from lightning_nlp.models.problem import OneClass, Scores, SeveralLabels

LOGITS = torch.tensor([[0.5, -1.0], [2.0, 0.25], [-3.0, 1.0]])
LABELS = torch.tensor([[1, 0], [0, 0], [1, 1]])


def test_several_labels_have_pytorchs_loss_also_of_parts_of_a_batch():
    weights = torch.tensor([3.0, 0.5])
    problem = SeveralLabels()
    total, number = problem.loss_terms(LOGITS, LABELS, weights, 0.0)
    torch.testing.assert_close(
        total / number, F.binary_cross_entropy_with_logits(LOGITS, LABELS.float(), pos_weight=weights)
    )
    parts = [problem.loss_terms(LOGITS[rows], LABELS[rows], weights, 0.0) for rows in ([0], [1, 2])]
    torch.testing.assert_close(sum(part for part, _ in parts) / sum(n for _, n in parts), total / number)
    filled = problem.loss_terms(LOGITS, torch.where(torch.tensor([[True], [False], [False]]), -100, LABELS), weights, 0)
    assert filled[1] == 2
    torch.testing.assert_close(filled[0], parts[1][0])
    smooth, _ = problem.loss_terms(LOGITS, LABELS, None, 0.2)
    torch.testing.assert_close(smooth / number, F.binary_cross_entropy_with_logits(LOGITS, LABELS.float() * 0.8 + 0.1))


def test_balanced_weights_of_labels_are_of_their_positives():
    facts = {"class_counts": [25, 80], "rows": 100}
    assert SeveralLabels().class_weights("balanced", facts, ["a", "b"]).tolist() == [3.0, 0.25]
    with pytest.raises(UserError, match="No training example has the label 'b'"):
        SeveralLabels().class_weights("balanced", {"class_counts": [25, 0], "rows": 100}, ["a", "b"])
    with pytest.raises(UserError, match="1 weights for 2 classes"):
        SeveralLabels().class_weights([1.0], facts, ["a", "b"])


def test_rows_that_do_not_count_are_not_collected():
    found = []
    scores = Scores(lambda *arrays: found.append([array.tolist() for array in arrays]) or {"n": len(arrays[1])}, "val/")
    scores.update(torch.tensor([[1.0], [2.0]]), torch.tensor([-100.0, float("nan")]))  # -100 is a number
    scores.update(torch.tensor([[3.0]]), torch.tensor([5.0]))
    assert scores.compute() == {"val/n": 2}
    assert found.pop() == [[[1.0], [3.0]], [-100.0, 5.0]]
    scores.reset()
    scores.update(LOGITS, torch.tensor([[1, 0], [-100, -100], [0, 0]]))
    scores.compute()
    assert found.pop() == [LOGITS[[0, 2]].tolist(), [[1, 0], [0, 0]]]


@pytest.mark.parametrize("labels", [LABELS, torch.tensor([0.5, 1.5, 2.5])])
def test_a_batch_of_another_problem_is_one_sentence(labels):
    with pytest.raises(UserError, match="give a data module with `label_facts`"):
        OneClass().loss_terms(LOGITS, labels, None, 0.0)
