import pytest
import torch
from torch import nn

from lightning_nlp.training import gradients
from lightning_nlp.training.gradients import AccumulatedMean


def accumulated_gradient(rows, sizes, accumulate):
    """The gradient that AccumulatedMean leaves, with Lightning's division played by hand."""
    torch.manual_seed(0)
    layer, mean = nn.Linear(3, 1), AccumulatedMean()
    for part in rows.split(sizes):
        loss, _ = mean.loss(layer(part).square().sum(), torch.tensor(len(part)))
        (loss / accumulate).backward()
    mean.rescale(layer.parameters(), accumulate)
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


def test_a_single_batch_keeps_its_mean_and_windows_do_not_mix():
    mean, layer = AccumulatedMean(), nn.Linear(3, 1)
    for size in (5, 2):
        loss = layer(torch.ones(size, 3)).square()
        for found in mean.loss(loss.sum(), torch.tensor(size)):
            torch.testing.assert_close(found, loss.mean())
        mean.rescale(layer.parameters(), 1)
    mean.loss(torch.tensor(1.0), torch.tensor(3))
    mean.reset()
    assert mean.loss(torch.tensor(8.0), torch.tensor(4)) == (2, 2)
    assert mean.loss(torch.tensor(9.0), torch.tensor(3)) == (9 / 4, 3)  # over the first batch's count, and its own


def test_a_loss_that_is_infinite_in_another_process_is_so_here(monkeypatch):
    """Exact gradients over processes are in tests/faults/test_processes.py."""
    monkeypatch.setattr(gradients, "_mean_over_ranks", lambda values: values + torch.tensor([torch.inf, 0]))
    for found in AccumulatedMean().loss(torch.tensor(1.0), torch.tensor(3)):
        assert torch.isinf(found)
