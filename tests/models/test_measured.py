import pytest
import torch

from lightning_nlp.models.measured import MeasuredModule, mean_metric
from tests import fitting
from tests.models.test_classification import Texts


class Mean(MeasuredModule):
    """Measures the mean number of tokens."""

    def evaluate(self, batch, stage):
        self.metrics["length"].update(batch["attention_mask"].sum(1))

    def new_metrics(self):
        return {"length": mean_metric()}

    def log_metrics(self, stage):
        self.log(f"{stage}/length", self.metrics["length"].compute())


def test_metrics_start_afresh_with_each_split_in_any_mode(tmp_path):
    module, run, data = Mean(), fitting.trainer(tmp_path), Texts()
    expected = torch.stack([row["attention_mask"].sum() for row in data.rows]).float().mean().item()
    for _ in range(2):
        assert run.validate(module, data, verbose=False) == [{"val/length": pytest.approx(expected)}]
        assert run.test(module, data, verbose=False) == [{"test/length": pytest.approx(expected)}]


def test_a_mean_shows_nan():
    metric = mean_metric()
    metric.update(torch.tensor([1.0, torch.nan]))
    assert metric.compute().isnan()
