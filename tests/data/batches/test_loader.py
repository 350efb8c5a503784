import os
import signal

import numpy as np
import pytest
import torch
from torch.utils.data import get_worker_info

from lightning_nlp.data.batches.loader import Batches, ResumableLoader
from lightning_nlp.data.batches.plan import BatchPlan, FixedSize
from tests.bad_input.check import check
from tests.conftest import invoke

LENGTHS = np.random.default_rng(0).integers(3, 200, size=1003)


class Rows:
    """Stands for a table of token ids."""

    def __getitem__(self, numbers):
        return {"value": [number * 10 for number in numbers], "label": [1] * len(numbers)}


def collate(columns, epoch):
    return {
        "index": torch.tensor(columns["index"]),
        "epoch": torch.tensor(epoch),
        "labels": torch.tensor(columns["label"]),
    }


def make_loader(**kwargs):
    plan = BatchPlan(FixedSize(LENGTHS[:50], 8, seed=5))
    return ResumableLoader(Batches(Rows(), collate), plan, **kwargs)


def indices(batches):
    return [batch["index"].tolist() for batch in batches]


def test_a_resumed_loader_knows_its_position():
    """And begins the next epoch; properties/test_batches.py has the rest."""
    loader, resumed = make_loader(num_workers=2), make_loader()
    iterator = iter(loader)
    next(iterator), next(iterator)
    resumed.load_state_dict(loader.state_dict())
    assert resumed.state_dict() == loader.state_dict(), "a validation that comes first may be the best, and is saved"
    resumed.sampler.set_epoch(0)  # as Lightning does
    assert len(resumed) == len(loader) == 7, "a progress bar counts the whole epoch"
    next(iter(resumed))
    assert resumed.state_dict() == {"epoch": 0, "layouts": [({"examples": 8, "accumulate": 1}, 3)]}
    for each in (resumed, loader):
        each.sampler.set_epoch(1)
    assert indices(resumed) == indices(loader)


@pytest.mark.parametrize("num_workers", [0, 2])
def test_a_loader_leaves_the_global_generator_alone(num_workers):
    before = torch.get_rng_state()
    loader = make_loader(num_workers=num_workers)
    for _ in range(2):
        indices(loader)
    assert torch.equal(torch.get_rng_state(), before)


def test_a_killed_worker_is_one_error(tiny_cls, tmp_path, monkeypatch):
    """As the kernel kills it where memory is short; torch raises at the signal, wherever the training then is."""
    make = Batches.__getitem__

    def deadly(self, key):
        if get_worker_info() is not None and key[0] == 1:
            os.kill(os.getpid(), signal.SIGKILL)
        return make(self, key)

    monkeypatch.setattr(Batches, "__getitem__", deadly)
    outcome = invoke("fit", *tiny_cls, "--data.num_workers", "1", "--runs_dir", tmp_path)
    check(outcome, "A process that prepares batches has ended", "smaller --data.num_workers", "--ckpt_path last")
