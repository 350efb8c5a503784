import pytest
import torch
import torch.nn.functional as F

from lightning_nlp.evaluation.classes import class_scores
from tests.models.test_classification import Texts, fit


def test_filler_rows_count_nowhere(tmp_path):
    labels = (0, 1, 2, 1, -100, -100, -100, -100, 2, -100, 0, -100)
    filled, plain = Texts(4, labels), Texts(4, labels)
    plain.rows = [row for row in plain.rows if row["labels"] >= 0]
    # 4 + 0 + 2 against 4 + 2 examples: with one window an epoch both make the same step
    _, steps_a, run_a = fit(tmp_path, filled, {"accumulate_grad_batches": 3})
    _, steps_b, run_b = fit(tmp_path, plain, {"accumulate_grad_batches": 3})
    assert len(steps_a) == len(steps_b) == 1
    for name, gradient in steps_a[0].items():
        torch.testing.assert_close(gradient, steps_b[0][name], rtol=2e-3, atol=2e-6)
    one, other = ({k: v.item() for k, v in run.callback_metrics.items() if "val/" in k} for run in (run_a, run_b))
    assert len(one) == 5
    assert one == pytest.approx(other, rel=1e-3)
    _, steps, run = fit(tmp_path, Texts(4, [-100] * 4))
    assert all(torch.equal(gradient, torch.zeros_like(gradient)) for gradient in steps[0].values())
    assert run.callback_metrics["train/loss"] == 0


def test_validation_and_test_measure_the_plain_loss_and_the_scores(tmp_path):
    data = Texts(5)  # batches of 5, 5 and 2: the mean is over examples
    module, _, run = fit(tmp_path, data, {"max_epochs": 2}, label_smoothing=0.3, class_weights="balanced")
    assert module.class_weights.tolist() == pytest.approx([12 / 9, 12 / 18, 12 / 9])
    assert "class_weights" not in module.state_dict()
    validation = dict(run.callback_metrics)
    metrics = run.test(module, datamodule=data, verbose=False)[0]
    module.eval()
    with torch.no_grad():
        logits = torch.cat([module(batch) for batch in data.train_dataloader()])
    labels = torch.stack([row["labels"] for row in data.rows])
    scores = class_scores(3)
    scores.update(logits, labels)
    for name, value in {"loss": F.cross_entropy(logits, labels), **scores.compute()}.items():
        assert metrics[f"test/{name}"] == pytest.approx(value.item(), rel=1e-4)
        assert validation[f"val/{name}"].item() == pytest.approx(value.item(), rel=1e-4)
