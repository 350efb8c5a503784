import random

import pytest
import torch

from lightning_nlp.callbacks.divergence import Divergence
from lightning_nlp.fitting import default_callbacks
from tests.callbacks.test_progress import fake_trainer


def lines_for(losses, tmp_path, caplog, every=10) -> list[str]:
    """What a callback of every training says to these losses of its steps."""
    (callback,) = [each for each in default_callbacks(tmp_path) if isinstance(each, Divergence)]
    trainer = fake_trainer()
    trainer.log_every_n_steps = every
    with caplog.at_level("INFO"):
        for step, loss in enumerate(losses, 1):
            trainer.global_step = step
            callback.on_train_batch_end(trainer, None, {"loss": torch.tensor(loss)})
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
