from types import SimpleNamespace

import pytest
import torch
from lightning.pytorch.plugins.precision import MixedPrecision, Precision
from torch import nn

from lightning_nlp.training import gradients
from lightning_nlp.training.gradients import Gradients


def fake_trainer(accumulate=1, plugin=None):
    return SimpleNamespace(accumulate_grad_batches=accumulate, global_step=0, precision_plugin=plugin or Precision())


def accumulated_gradient(rows, sizes, accumulate):
    """The gradient that `finish` leaves, with Lightning's division played by hand."""
    torch.manual_seed(0)
    layer, step = nn.Linear(3, 1), Gradients()
    for part in rows.split(sizes):
        loss, _ = step.loss(layer(part).square().sum(), torch.tensor(len(part)))
        (loss / accumulate).backward()
    for _ in range(2):  # whoever asks first, it is made exact once
        norms, total = step.finish(fake_trainer(accumulate), torch.optim.SGD(layer.parameters()))
    assert norms == {p: p.grad.norm() for p in layer.parameters()}
    torch.testing.assert_close(total, torch.cat([p.grad.flatten() for p in layer.parameters()]).norm())
    return layer.weight.grad


@pytest.mark.parametrize(
    ("sizes", "accumulate"),
    [
        ([8], 1),
        ([2, 2, 2, 2], 4),
        ([1, 5, 2], 3),
        ([1, 5, 2], 8),  # cut short by the end of an epoch
        ([8], 4),
        ([0, 8], 2),
        ([3, 0, 5, 0], 4),
    ],
    ids=str,
)
def test_accumulated_gradient_is_that_of_the_joint_mean(sizes, accumulate):
    rows = torch.randn(8, 3, generator=torch.Generator().manual_seed(1))
    torch.manual_seed(0)
    layer = nn.Linear(3, 1)
    layer(rows).square().mean().backward()
    torch.testing.assert_close(accumulated_gradient(rows, sizes, accumulate), layer.weight.grad)


def test_windows_without_anything_to_count_leave_zero():
    for sizes, accumulate in (([0], 1), ([0, 0], 2)):
        gradient = accumulated_gradient(torch.empty(0, 3), sizes, accumulate)
        assert torch.equal(gradient, torch.zeros(1, 3))


def test_a_single_batch_keeps_its_mean_and_steps_do_not_mix():
    step, layer, trainer = Gradients(), nn.Linear(3, 1), fake_trainer()
    optimizer = torch.optim.SGD(layer.parameters())
    for size in (5, 2):
        loss = layer(torch.ones(size, 3)).square()
        for found in step.loss(loss.sum(), torch.tensor(size)):
            torch.testing.assert_close(found, loss.mean())
        loss.mean().backward()
        norms, _ = step.finish(trainer, optimizer)
        assert norms[layer.weight] == layer.weight.grad.norm()
        trainer.global_step += 1
    step.loss(torch.tensor(1.0), torch.tensor(3))
    step.reset()
    assert step.loss(torch.tensor(8.0), torch.tensor(4)) == (2, 2)
    assert step.loss(torch.tensor(9.0), torch.tensor(3)) == (9 / 4, 3)  # over the first batch's count, and its own


def test_a_loss_that_is_infinite_in_another_process_is_so_here(monkeypatch):
    """Exact gradients over processes are in tests/faults/test_processes.py."""
    monkeypatch.setattr(gradients, "_mean_over_ranks", lambda values: values + torch.tensor([torch.inf, 0]))
    for found in Gradients().loss(torch.tensor(1.0), torch.tensor(3)):
        assert torch.isinf(found)


@pytest.mark.parametrize("value", [None, 0, -1.0, 0.01, 100.0])
@pytest.mark.parametrize("algorithm", [None, "norm", "value"])
@pytest.mark.parametrize("plugin", [None, MixedPrecision("bf16-mixed", "cpu"), MixedPrecision("16-mixed", "cpu")])
def test_clipping_is_lightnings(value, algorithm, plugin):
    torch.manual_seed(0)
    layer = nn.Linear(5, 3)
    layer(torch.randn(4, 5)).square().sum().backward()
    whole = [p.grad.clone() for p in layer.parameters()]
    if value is not None and value > 0:
        clip = torch.nn.utils.clip_grad_value_ if algorithm == "value" else torch.nn.utils.clip_grad_norm_
        clip(layer.parameters(), value)
    expected = [p.grad.clone() for p in layer.parameters()]
    for parameter, gradient in zip(layer.parameters(), whole, strict=True):
        parameter.grad = gradient
    scaled = plugin is not None and plugin.scaler is not None
    optimizer = torch.optim.AdamW(layer.parameters(), fused=not scaled)
    Gradients().clip(fake_trainer(plugin=plugin), optimizer, value, algorithm)
    assert all(torch.equal(p.grad, gradient) for p, gradient in zip(layer.parameters(), expected, strict=True))


def test_scaled_gradients_are_not_clipped():
    layer = nn.Linear(2, 2)
    layer(torch.ones(1, 2)).sum().backward()
    optimizer = torch.optim.AdamW(layer.parameters(), fused=True)  # which unscales them itself
    with pytest.raises(RuntimeError, match="does not allow for gradient clipping"):
        Gradients().clip(fake_trainer(plugin=MixedPrecision("16-mixed", "cpu")), optimizer, 1.0, "norm")
