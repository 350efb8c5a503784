"""Each private thing of a dependency still is what we take it for."""

from pathlib import Path
from typing import Union

import pytest
import torch
from jsonargparse import ArgumentParser
from lightning.pytorch.demos.boring_classes import BoringModel
from lightning.pytorch.loggers import Logger

from lightning_nlp.private_api import keep_whole_numbers, log_at_last_step, multiply_all, norms_of
from tests.fitting import trainer


class Model(BoringModel):
    def on_fit_start(self):  # as an early stop holds across a resume
        self.trainer.should_stop = self.trainer.ckpt_path is not None

    def on_validation_end(self):  # before Lightning has counted the step
        self.trainer.save_checkpoint(Path(self.trainer.default_root_dir) / "end.ckpt", weights_only=False)

    def test_step(self, batch, batch_idx):
        self.log("test/loss", self.loss(self(batch)))


class Steps(Logger):
    """Keeps the steps that metrics are logged at."""

    name = version = ""

    def __init__(self):
        self.steps = []

    def log_metrics(self, metrics, step):
        self.steps.append(step)

    def log_hyperparams(self, params, *args, **kwargs):
        pass


@pytest.mark.filterwarnings("ignore:.*does not have many workers", "ignore:.*`isinstance")
@pytest.mark.parametrize("corrected", [False, True])
def test_a_test_is_logged_at_the_last_step(corrected, tmp_path):
    settings = {"limit_train_batches": 3, "limit_val_batches": 1}
    trainer(tmp_path, **settings).fit(Model())
    resumed, logger = trainer(tmp_path, **settings, max_epochs=2), Steps()
    resumed.fit(Model(), ckpt_path=tmp_path / "end.ckpt", weights_only=True)
    if corrected:
        log_at_last_step(resumed)
    resumed.loggers = [logger]
    resumed.test(resumed.lightning_module, verbose=False)
    assert (logger.steps == [3]) == corrected


def test_many_tensors_are_multiplied_and_measured_at_once():
    tensors = [torch.tensor([3.0, 4.0]), torch.tensor([[0.0], [torch.inf]])]
    multiply_all(tensors, torch.tensor(2.0))
    assert torch.equal(tensors[0], torch.tensor([6.0, 8.0]))
    assert [norm.item() for norm in norms_of(tensors)] == [10.0, torch.inf]


@pytest.mark.parametrize("kept", [False, True])
def test_one_batch_is_not_all_of_them_whatever_the_order_of_types(kept):
    parser = ArgumentParser()
    parser.add_argument("--limit", type=Union[float, int, None])  # noqa: UP007 - with | they would not be ordered so
    if kept:
        keep_whole_numbers(parser)
    limits = [parser.parse_args([f"--limit={value}"]).limit for value in ("1", "0.5", "null")]
    assert list(map(repr, limits)) == ["1" if kept else "1.0", "0.5", "None"]
