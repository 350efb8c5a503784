"""Real tokens a second."""

from types import SimpleNamespace

import pytest
import torch

from lightning_nlp.callbacks.throughput import Throughput, peak_memory_gib
from tests.conftest import invoke, read_metrics


class Clock:
    """A clock that the test turns."""

    def __init__(self, monkeypatch):
        self.now = 0.0
        monkeypatch.setattr("lightning_nlp.callbacks.throughput.time.perf_counter", lambda: self.now)


def batch(tokens: int, places: int) -> dict[str, torch.Tensor]:
    attention_mask = torch.zeros(1, places, dtype=torch.int64)
    attention_mask[0, :tokens] = 1
    return {"input_ids": torch.ones(1, places, dtype=torch.int64), "attention_mask": attention_mask}


def run_steps(throughput, clock, trainer, module, steps, *, first=0):
    for index, (tokens, places, seconds) in enumerate(steps, start=first):
        throughput.on_train_batch_start(trainer, module, None, index)
        clock.now += seconds
        trainer.global_step += 1
        throughput.on_train_batch_end(trainer, module, None, batch(tokens, places), index)


@pytest.fixture
def module():
    logged = []
    return SimpleNamespace(logged=logged, log=lambda name, value: logged.append((name, value)))


@pytest.fixture
def trainer():
    return SimpleNamespace(log_every_n_steps=2, accumulate_grad_batches=1, world_size=1, global_step=0)


def test_padding_warm_up_and_validation_are_not_counted(monkeypatch, trainer, module):
    clock, throughput = Clock(monkeypatch), Throughput()
    throughput.on_train_epoch_start(trainer, module)
    # the first step is warm-up: its second 100 counts nowhere
    run_steps(throughput, clock, trainer, module, [(30, 40, 100.0), (30, 40, 1.0), (10, 40, 2.0), (30, 40, 2.0)])
    assert dict(module.logged)["perf/tokens_per_s"] == pytest.approx((10 + 30) / 4)
    assert dict(module.logged)["perf/padding_efficiency"] == pytest.approx(40 / 80)
    throughput.on_validation_start(trainer, module)
    clock.now += 1000.0
    run_steps(throughput, clock, trainer, module, [(60, 80, 3.0), (20, 80, 1.0)], first=4)
    assert module.logged[-3] == ("perf/tokens_per_s", pytest.approx(80 / 4))
    throughput.on_train_end(trainer, module)
    assert (throughput.tokens, throughput.seconds) == (30 + 10 + 30 + 60 + 20, 1.0 + 4.0 + 4.0)
    assert throughput.tokens_per_s == pytest.approx(150 / 9)


def test_all_ranks_count(monkeypatch, trainer, module):
    clock, throughput = Clock(monkeypatch), Throughput()
    trainer.world_size = 4
    run_steps(throughput, clock, trainer, module, [(30, 40, 1.0), (30, 40, 2.0)])
    assert dict(module.logged)["perf/tokens_per_s"] == pytest.approx(4 * 15)


def test_too_little_to_tell(monkeypatch, trainer, module):
    clock, throughput = Clock(monkeypatch), Throughput()
    run_steps(throughput, clock, trainer, module, [(30, 40, 1.0)])
    throughput.on_train_end(trainer, module)
    assert throughput.tokens_per_s is None
    assert module.logged == []


def test_never_logging_is_allowed(monkeypatch, trainer, module):
    clock, throughput = Clock(monkeypatch), Throughput()
    trainer.log_every_n_steps = 0
    run_steps(throughput, clock, trainer, module, [(30, 40, 1.0)] * 3)
    throughput.on_train_end(trainer, module)
    assert module.logged == []
    assert throughput.tokens_per_s == pytest.approx(30)


def test_steps_count_and_not_batches_or_epochs(tiny_cls, tmp_path):
    # 4 steps an epoch (7 batches, two a step), logged in every third: 3, 6, 9 and 12 of 12
    options = ["--trainer.accumulate_grad_batches", "2", "--trainer.log_every_n_steps", "3"]
    run = invoke("fit", *tiny_cls, *options, "--trainer.max_epochs", "3", "--runs_dir", tmp_path).run
    rows = [row for row in read_metrics(run) if row["perf/tokens_per_s"]]
    assert [int(row["step"]) for row in rows] == [2, 5, 8, 11]
    assert all(row["train/loss"] for row in rows)


def test_peak_memory_is_of_this_process():
    before = peak_memory_gib()
    held = torch.ones(2**27)  # half a GiB
    if not torch.cuda.is_available():
        assert 0.05 < before < 100
        assert peak_memory_gib() >= before
    del held
