from types import SimpleNamespace

import pytest
import torch
from transformers import (
    ModernBertConfig,
    ModernBertForSequenceClassification,
)

from lightning_nlp.callbacks.throughput import Throughput
from lightning_nlp.errors import UserError
from lightning_nlp.training.counts import count_batch
from lightning_nlp.training.flops import training_costs, training_flops
from tests.conftest import invoke, read_metrics


class Clock:
    def __init__(self, monkeypatch):
        self.now = 0.0
        monkeypatch.setattr("lightning_nlp.callbacks.throughput.time.perf_counter", lambda: self.now)


def batch(tokens: int, places: int) -> dict[str, torch.Tensor]:
    attention_mask = torch.zeros(1, places, dtype=torch.int64)
    attention_mask[0, :tokens] = 1
    return {"input_ids": torch.ones(1, places, dtype=torch.int64), "attention_mask": attention_mask}


def packed_batch(*lengths: int) -> dict[str, torch.Tensor]:
    input_ids = torch.ones(1, sum(lengths), dtype=torch.int64)
    return {"input_ids": input_ids, "cu_seqlens": torch.tensor([0, *lengths]).cumsum(0).int()}


def run_batches(throughput, clock, trainer, module, batches, *, first=0):
    for index, (data, wait, seconds) in enumerate(batches, start=first):
        clock.now += wait
        throughput.on_train_batch_start(trainer, module, data, index)
        clock.now += seconds
        trainer.global_step += 1
        throughput.on_train_batch_end(trainer, module, None, data, index)


@pytest.fixture
def module():
    logged = []
    device = torch.device("cpu")
    return SimpleNamespace(logged=logged, log=lambda name, value: logged.append((name, value)), device=device)


@pytest.fixture
def trainer():
    progress = SimpleNamespace(is_last_batch=False, current=SimpleNamespace(ready=1))
    return SimpleNamespace(
        **{"log_every_n_steps": 2, "world_size": 1, "global_step": 0, "precision": "bf16-mixed", "datamodule": None},
        accumulate_grad_batches=1,
        fit_loop=SimpleNamespace(epoch_loop=SimpleNamespace(batch_progress=progress)),
    )


def test_padding_warm_up_and_validation_are_not_counted(monkeypatch, trainer, module):
    clock, throughput = Clock(monkeypatch), Throughput()
    throughput.on_train_epoch_start(trainer, module)
    # the first step is warm-up: its second 100 counts nowhere
    long, short = batch(30, 40), batch(10, 40)
    run_batches(throughput, clock, trainer, module, [(long, 0, 100), (long, 0, 1), (short, 0, 2), (long, 0, 2)])
    assert dict(module.logged)["perf/tokens_per_s"] == pytest.approx((10 + 30) / 4)
    assert dict(module.logged)["perf/padding_efficiency"] == pytest.approx(40 / 80)
    assert "perf/packing_efficiency" not in dict(module.logged), "there is no budget"
    throughput.on_validation_start(trainer, module)
    clock.now += 1000.0
    run_batches(throughput, clock, trainer, module, [(batch(60, 80), 0, 3), (batch(20, 80), 0, 1)], first=4)
    assert dict(module.logged)["perf/tokens_per_s"] == pytest.approx(80 / 4)
    throughput.on_train_end(trainer, module)
    assert (throughput.tokens, throughput.seconds) == (30 + 10 + 30 + 60 + 20, 1.0 + 4.0 + 4.0)
    assert throughput.tokens_per_s == pytest.approx(150 / 9)


def test_too_little_to_tell(monkeypatch, trainer, module):
    clock, throughput = Clock(monkeypatch), Throughput()
    run_batches(throughput, clock, trainer, module, [(batch(30, 40), 0, 1)])
    throughput.on_train_end(trainer, module)
    assert throughput.tokens_per_s is throughput.mfu is None
    assert module.logged == []


def test_packed_batches_have_only_real_tokens(monkeypatch, trainer, module):
    clock, throughput = Clock(monkeypatch), Throughput()
    trainer.datamodule, trainer.world_size = SimpleNamespace(tokens_per_batch=50), 4
    run_batches(throughput, clock, trainer, module, [(packed_batch(9, 9), 0, 1), (packed_batch(30, 10), 0, 2)], first=0)
    logged = dict(module.logged)
    assert logged["perf/tokens_per_s"] == pytest.approx(4 * 40 / 2), "of all processes"
    assert logged["perf/padding_efficiency"] == 1
    assert logged["perf/packing_efficiency"] == pytest.approx(40 / 50)
    run_batches(throughput, clock, trainer, module, [(packed_batch(20), 0, 1), (packed_batch(25, 20), 0, 1)], first=2)
    assert dict(module.logged)["perf/packing_efficiency"] == pytest.approx(65 / 100)


def test_waiting_for_data(monkeypatch, trainer, module):
    clock, throughput = Clock(monkeypatch), Throughput()
    data = batch(30, 40)
    # the first wait is before the clock starts; then 1 s and, after the log, 3 + 1 s
    run_batches(throughput, clock, trainer, module, [(data, 50, 1), (data, 1, 3), (data, 3, 2), (data, 1, 2)])
    shares = [value for name, value in module.logged if name == "perf/data_wait"]
    assert shares == [pytest.approx(1 / 4), pytest.approx(4 / 8)]
    throughput.on_validation_start(trainer, module)
    clock.now += 1000.0
    # neither the validation nor the batch after it is waited for
    run_batches(throughput, clock, trainer, module, [(data, 7, 3), (data, 1, 4)], first=4)
    assert dict(module.logged)["perf/data_wait"] == pytest.approx(1 / 8)
    assert dict(module.logged)["perf/tokens_per_s"] == pytest.approx(60 / 8)


def network_with_a_window():
    sizes = {"hidden_size": 16, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 32}
    config = ModernBertConfig(**sizes, vocab_size=20, pad_token_id=0, local_attention=8)
    return ModernBertForSequenceClassification(config)


def test_mfu(monkeypatch, trainer, module):
    clock, throughput, data = Clock(monkeypatch), Throughput(peak_tflops=1e-6), batch(30, 40)
    module.network = network_with_a_window()
    throughput.on_train_start(trainer, module)
    run_batches(throughput, clock, trainer, module, [(data, 0, 5), (data, 1, 1), (data, 1, 2), (data, 1, 4)])
    costs = training_costs(module.network)
    flops = training_flops(costs, count_batch(data, costs.window))
    assert flops > 1e5
    shares = [value for name, value in module.logged if name == "perf/mfu"]
    assert shares == [pytest.approx(flops / 2 / 1e6), pytest.approx(2 * flops / 8 / 1e6)]
    run_batches(throughput, clock, trainer, module, [(data, 1, 4)], first=4)
    throughput.on_train_end(trainer, module)
    assert throughput.mfu == pytest.approx(4 * flops / 15 / 1e6)


def test_a_peak_that_cannot_be():
    with pytest.raises(UserError, match="--peak_tflops must be greater than 0"):
        Throughput(peak_tflops=0)


def test_steps_count_and_not_batches_or_epochs(tiny_cls, tmp_path):
    # 4 steps an epoch (7 batches, two a step), logged in every third: 3, 6, 9 and 12 of 12
    options = ["--trainer.accumulate_grad_batches", "2", "--trainer.log_every_n_steps", "3"]
    run = invoke("fit", *tiny_cls, *options, "--trainer.max_epochs", "3", "--runs_dir", tmp_path).run
    rows = [row for row in read_metrics(run) if row["perf/tokens_per_s"]]
    assert [int(row["step"]) for row in rows] == [2, 5, 8, 11]
    assert all(row["train/loss"] for row in rows)
    assert {name.removeprefix("perf/") for name in rows[0] if name.startswith("perf/")} == {
        *("tokens_per_s", "padding_efficiency", "data_wait", "mfu", "peak_memory_gib")
    }
    assert all(0 <= float(row["perf/data_wait"]) <= 1 for row in rows)
    assert all(float(row["perf/mfu"]) > 0 for row in rows)
