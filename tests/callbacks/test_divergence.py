import random

import pytest
import torch
from lightning.pytorch import LightningModule
from torch.utils.data import DataLoader

from lightning_nlp.callbacks.divergence import Divergence
from tests.conftest import invoke
from tests.fitting import trainer


class Given(LightningModule):
    def __init__(self, losses):
        super().__init__()
        self.weight = torch.nn.Parameter(torch.zeros(()))
        self.losses = losses

    def training_step(self, batch, batch_idx):
        return self.losses[batch_idx] + 0 * self.weight

    def configure_optimizers(self):
        return torch.optim.SGD(self.parameters(), lr=0.0)


def lines_for(losses, tmp_path, caplog, every=10) -> list[str]:
    caplog.clear()
    with caplog.at_level("INFO"):
        trainer(tmp_path, log_every_n_steps=every, callbacks=[Divergence()]).fit(
            Given(losses), DataLoader(range(len(losses)))
        )
    return [message for message in caplog.messages if "diverges" in message]


def noisy(levels, noise=0.2, seed=0):
    rng = random.Random(seed)
    return [level * rng.lognormvariate(0, noise) for level in levels]


@pytest.mark.parametrize(
    "levels",
    [
        [10 * 0.995**i + 2 for i in range(400)] + [9.0] * 150,  # a masked language model back at the unigram model's
        [0.69] * 100 + [0.1] * 300 + [0.7] * 150,  # a classifier back at guessing
        [0.69 * 1.01**i for i in range(500)],  # from the start
    ],
)
def test_it_comes_once_and_names_the_step(levels, tmp_path, caplog):
    (line,) = lines_for(noisy(levels), tmp_path, caplog)
    assert "--model.lr" in line
    assert "\n" not in line
    assert "at step " in line


@pytest.mark.parametrize(
    ("levels", "noise"),
    [
        ([10 * 0.995**i + 2 for i in range(600)], 0.2),
        ([0.69 * 0.99**i for i in range(600)], 0.5),  # towards 0, in leaps
        ([0.69] * 100 + [0.001] * 300 + [0.1] * 100, 0.5),  # a small loss that grows is small
        ([0.3 + (8.0 if i % 97 == 0 else 0.0) for i in range(600)], 0.3),  # single batches with a wrong label
        ([2.0] * 15, 1.0),  # too little to tell
    ],
)
@pytest.mark.parametrize("every", [1, 10])
def test_it_does_not_come(levels, noise, every, tmp_path, caplog):
    assert lines_for(noisy(levels, noise), tmp_path, caplog, every) == []


def test_a_training_whose_learning_rate_is_far_too_high(tiny_mlm, tmp_path):
    # so high that it is told on any machine: at step 20 the loss is 5 times what it was, not 2
    arguments = [*tiny_mlm, "--model.lr", "100", "--model.warmup_ratio", "1", "--trainer.max_epochs", "4"]
    outcome = invoke("fit", *arguments, "--runs_dir", tmp_path)
    assert outcome.err.count("The training diverges: its loss is") == 1
