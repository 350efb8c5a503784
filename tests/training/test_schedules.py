import math
from functools import partial

import pytest
import torch
from lightning.pytorch import Callback
from torch import nn

from lightning_nlp.errors import UserError
from lightning_nlp.training.schedules import is_log_step, lr_lambda, num_training_steps, train_batches
from tests import fitting
from tests.training.test_optimizer import Regression, Rows

trainer = partial(fitting.trainer, max_epochs=2)


@pytest.mark.parametrize("total", [1, 2, 10, 97])
@pytest.mark.parametrize("warmup_ratio", [0.0, 0.06, 0.5, 1.0])
@pytest.mark.parametrize("schedule", ["linear", "cosine", "constant"])
def test_schedule_is_that_of_transformers(schedule, warmup_ratio, total):
    from transformers import get_scheduler

    optimizer = torch.optim.SGD([nn.Parameter(torch.zeros(1))], lr=1.0)
    name = "constant_with_warmup" if schedule == "constant" else schedule
    reference = get_scheduler(name, optimizer, math.ceil(warmup_ratio * total), total).lr_lambdas[0]
    factor = lr_lambda(schedule, total, warmup_ratio)
    assert [factor(step) for step in range(total)] == pytest.approx([reference(s) for s in range(total)], abs=1e-12)
    assert [factor(step) for step in (total, total + 5)] == [1.0 if schedule == "constant" else 0.0] * 2


def test_wsd_falls_with_the_square_root_in_the_last_tenth():
    factor = lr_lambda("wsd", 100, warmup_ratio=0.1)
    assert [factor(step) for step in (0, 5, 10, 50, 90)] == [0, 0.5, 1, 1, 1]
    assert [factor(step) for step in (91, 99, 100)] == pytest.approx([1 - math.sqrt(0.1), 1 - math.sqrt(0.9), 0])
    late = lr_lambda("wsd", 50, warmup_ratio=0.95)  # the warmup reaches into the last tenth
    assert [late(step) for step in (47, 48, 50)] == pytest.approx([47 / 48, 1, 0])
    assert lr_lambda("wsd", 3, warmup_ratio=1.0)(3) == 0


@pytest.mark.parametrize(
    "settings",
    [
        {},
        {"max_epochs": 3, "accumulate_grad_batches": 4},
        {"max_epochs": 5, "max_steps": 7},
        {"max_epochs": -1, "max_steps": 7},
        {"max_epochs": None, "max_steps": 9},
        {"limit_train_batches": 5, "accumulate_grad_batches": 2},
        {"limit_train_batches": 100},
        {"limit_train_batches": 0.7, "accumulate_grad_batches": 3},
        {"limit_train_batches": 1},
        {"limit_train_batches": 1.0},
        {"overfit_batches": 2},
        {"overfit_batches": 0.5},
        {"fast_dev_run": 3},
        {"fast_dev_run": True},
    ],
    ids=str,
)
def test_number_of_steps_is_what_lightning_makes(settings, tmp_path):
    data, module = Rows(), Regression()
    fit = trainer(tmp_path, **settings)
    expected = num_training_steps(fit, train_batches(fit, data))
    fit.fit(module, datamodule=data)
    assert expected == fit.global_step > 0
    assert expected == fit.estimated_stepping_batches
    # the schedule has come to its end with the last step
    assert fit.optimizers[0].param_groups[0]["lr"] == 0


def test_an_endless_run_needs_the_constant_schedule(tmp_path):
    assert lr_lambda("constant", num_training_steps(trainer(tmp_path, max_epochs=-1), 10))(10**9) == 1
    for schedule, warmup_ratio in (("linear", 0.0), ("wsd", 0.0), ("constant", 0.1)):
        with pytest.raises(UserError, match=r"--trainer.max_epochs or --trainer.max_steps"):
            lr_lambda(schedule, None, warmup_ratio)


@pytest.mark.parametrize("every", [0, 1, 3])
def test_a_log_step_is_one_that_lightning_logs(every, tmp_path):
    """Six batches an epoch and four a step: the second step of an epoch has two."""
    found = []

    class Watch(Callback):
        def on_before_optimizer_step(self, trainer, pl_module, optimizer):
            if is_log_step(trainer, trainer.global_step + 1):
                found.append(("before", trainer.global_step + 1))

        def on_train_batch_end(self, trainer, pl_module, outputs, batch, batch_idx):
            if is_log_step(trainer):
                found.append(("after", trainer.global_step))

    settings = {"max_epochs": 3, "accumulate_grad_batches": 4, "log_every_n_steps": every}
    trainer(tmp_path, callbacks=[Watch()], **settings).fit(Regression(), datamodule=Rows())
    steps = [step for step in range(1, 7) if every and step % every == 0]
    assert found == [(when, step) for step in steps for when in ("before", "after")]
