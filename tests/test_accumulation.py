import os
import subprocess
import sys

import pytest
import torch
from torch import nn

from lightning_nlp.accumulation import AccumulatedMean


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


# Run by each of two processes; the counts are those of the ranks (rank 0, rank 1), for one batch a step and for two.
DDP_SCRIPT = """
import sys
from contextlib import nullcontext
import torch
from torch import nn
from lightning_nlp.accumulation import AccumulatedMean

rank, folder = int(sys.argv[1]), sys.argv[2]
torch.distributed.init_process_group("gloo", init_method=f"file://{folder}/store", rank=rank, world_size=2)
gradients = []
for sizes in ([(5, 3)], [(1, 3), (4, 0)]):
    torch.manual_seed(0)
    network, mean = nn.parallel.DistributedDataParallel(nn.Linear(3, 1)), AccumulatedMean()
    rows = torch.randn(8, 3, generator=torch.Generator().manual_seed(1)).split([n for pair in sizes for n in pair])
    for index, part in enumerate(rows[rank::2]):
        with nullcontext() if index == len(sizes) - 1 else network.no_sync():
            loss, joint = mean.loss(network(part).square().sum(), torch.tensor(len(part)))
            (loss / len(sizes)).backward()
    mean.rescale(network.parameters(), len(sizes))
    gradients.append(network.module.weight.grad)
loss, joint = AccumulatedMean().loss(torch.tensor([float("inf"), 1.0])[rank], torch.tensor(3))
torch.save([*gradients, loss, joint], f"{folder}/{rank}.pt")
torch.distributed.destroy_process_group()
"""


@pytest.mark.acceptance  # its short form is in tests/faults/test_processes.py
def test_accumulation_is_exact_over_ranks_too(tmp_path):
    rows = torch.randn(8, 3, generator=torch.Generator().manual_seed(1))
    torch.manual_seed(0)
    layer = nn.Linear(3, 1)
    layer(rows).square().mean().backward()
    environment = {**os.environ, "GLOO_SOCKET_IFNAME": "lo", "PYTHONPATH": os.pathsep.join(sys.path)}
    ranks = [
        subprocess.Popen([sys.executable, "-c", DDP_SCRIPT, str(rank), str(tmp_path)], env=environment)
        for rank in range(2)
    ]
    assert [process.wait(timeout=200) for process in ranks] == [0, 0]
    for rank in range(2):
        *gradients, loss, joint = torch.load(tmp_path / f"{rank}.pt", weights_only=True)
        assert torch.isinf(loss), "finite here or not, all processes see that the step is not"
        assert torch.isinf(joint)
        assert len(gradients) == 2
        for gradient in gradients:
            torch.testing.assert_close(gradient, layer.weight.grad)
