import json
import subprocess
import sys

import numpy as np
import pytest
import report
import torch
from token_data import make_batch
from yardstick import count, model_sizes, peak_flops, training_flops

from tests.conftest import HOUSE


def result(contender, number, *, tokens=1000.0, seconds=10.0, steps=4, losses=(4.0, 3.0, 2.0, 1.0), curve=()):
    return {
        "contender": contender,
        "round": number,
        "steps": steps,
        "seconds": seconds,
        "tokens": tokens,
        "flops": 5e10,
        "peak_memory": 2**30,
        "step_tokens": [tokens / steps] * steps,
        "losses": list(losses),
        "curve": list(curve),
    }


def test_medians_ranges_and_ratios_by_round():
    results = []
    for number, (slow, fast) in enumerate([(10.0, 5.0), (20.0, 4.0), (16.0, 2.0)]):
        results += [result("b", number, seconds=slow), result("d", number, seconds=fast)]
    summary = report.summarise(results, task="mlm", device="cpu", peak_flops=1e11)
    b, d = summary["contenders"]["b"], summary["contenders"]["d"]
    assert (b["tokens_per_s"], d["tokens_per_s"]) == ((62.5, 50.0, 100.0), (250.0, 200.0, 500.0))
    assert b["step_ms"] == (4000.0, 2500.0, 5000.0)
    assert d["mfu"].median == pytest.approx(5e10 / 4.0 / 1e11)
    assert summary["ratios"]["b"] == {"ratio": (5.0, 2.0, 8.0), "goal": 2.0, "met": True}
    table = report.markdown(summary)
    assert "| d / b | 5.00 (2.00 to 8.00) | 2: met |" in table
    assert "250 (200 to 500)" in table
    assert "| – |" in report.markdown(summary, goals=False)


def test_an_unknown_peak_gives_no_mfu_and_a_missed_goal_says_so():
    results = [result("b", 0, seconds=10.0), result("d", 0, seconds=9.0)]
    table = report.markdown(report.summarise(results, task="mlm", device="cuda", peak_flops=None))
    assert "not known" in table
    assert "| d / b | 1.11 | 2: **missed** |" in table


def test_a_peak_below_what_was_reached_is_none():
    table = report.markdown(report.summarise([result("d", 0)], task="mlm", device="cpu", peak_flops=4e9))  # 5e9 reached
    assert "| peak not measurable |" in table
    assert "%" not in table


def test_the_peak_is_of_the_precision_that_the_contenders_run_in(monkeypatch):
    """A CPU without bf16 units emulates its product, and trains in float32 sixty times as fast."""
    monkeypatch.setattr("lightning_nlp.training.precision._cpu_has_bf16", lambda: False)
    monkeypatch.setattr(
        "lightning_nlp.training.peaks._measured_peak", lambda dtype, threads: {torch.float32: 1e11}[dtype]
    )
    peak, source = peak_flops("cpu")
    assert peak == 1e11
    assert source.startswith("32-true matmul, measured")


def test_the_loss_is_that_of_the_second_half_of_the_tokens():
    assert report.loss_at([result("b", 0)], 1000) == pytest.approx(1.5)
    assert report.loss_at([result("b", 0)], 500) == pytest.approx(3.0)
    assert report.loss_at([result("b", 0), result("b", 1, losses=(9.0, 9.0, 3.0, 4.0))], 1000) == pytest.approx(2.5)
    assert report.loss_at([result("a", 0, tokens=400.0)], 1000) is None


@pytest.mark.parametrize(("metric", "value", "seconds"), [("loss", 3.0, 20.0), ("accuracy", 3.5, 10.0)])
def test_time_until_is_the_first_evaluation_at_or_beyond(metric, value, seconds):
    points = [{"seconds": 10.0 * (i + 1), "tokens": 100.0 * (i + 1), "value": 4.0 - i} for i in range(3)]
    summary = report.summarise_until([result("d", 0, curve=points)], metric, value)
    assert summary["d"]["seconds"] == (seconds, seconds, seconds)
    assert summary["d"]["tokens"].median == 10 * seconds
    assert summary["d"]["best"] == (2.0 if metric == "loss" else 4.0)


def test_a_repeat_that_does_not_arrive_is_said():
    near = [{"seconds": 5.0, "tokens": 50.0, "value": 2.0}]
    far = [{"seconds": 5.0, "tokens": 50.0, "value": 6.0}]
    summary = report.summarise_until([result("b", 0, curve=near), result("b", 1, curve=far)], "loss", 3.0)
    assert summary["b"]["seconds"] is None
    assert "not reached in 1 of 2" in report.markdown_until(summary, "loss", 3.0)


def test_plots_are_written(tmp_path):
    pytest.importorskip("matplotlib")
    for name, curve in (("bars", []), ("curves", [{"seconds": 5.0, "tokens": 50.0, "value": 2.0}])):
        results = [result("b", 0, curve=curve), result("d", 0, curve=curve)]
        summary = report.summarise(results, task="mlm", device="cpu", peak_flops=None)
        report.plot(tmp_path / f"{name}.png", results, summary, "title")
        assert (tmp_path / f"{name}.png").read_bytes().startswith(b"\x89PNG")


@pytest.mark.parametrize("task", ["mlm", "cls"])
def test_packed_and_padded_batches_count_alike(task):
    lengths = [5, 9, 3]
    sequences = [np.arange(5, 5 + length) for length in lengths]
    labels = [np.where(s % 4 == 0, s, -100) for s in sequences] if task == "mlm" else [0, 1, 0]
    rows = sum(int((label != -100).sum()) for label in labels) if task == "mlm" else 3
    batches = [make_batch(sequences, labels, packs=packs) for packs in (True, False)]
    assert ["cu_seqlens" in batch for batch in batches] == [True, False]
    for batch in batches:
        assert count(batch).tolist() == [sum(lengths), rows, sum(length**2 for length in lengths)]


def test_flops_of_a_distilbert_by_hand():
    from transformers import DistilBertConfig, DistilBertForMaskedLM, DistilBertForSequenceClassification

    config = DistilBertConfig(n_layers=2, n_heads=2, dim=16, hidden_dim=64, vocab_size=100)
    layer = 4 * 16 * 16 + 2 * 16 * 64
    masked = model_sizes(DistilBertForMaskedLM(config))
    assert masked == {"encoder": 2 * layer, "head": 16 * 16 + 16 * 100, "layers": 2, "dim": 16}
    assert model_sizes(DistilBertForSequenceClassification(config))["head"] == 16 * 16 + 16 * 2
    attention = 3 * 2 * (2 * 7 * 7 * 16) * 2  # forward and twice that backward; scores and means; two layers
    assert training_flops(masked, 7, 3, 49) == 6 * (2 * layer * 7 + masked["head"] * 3) + attention


@pytest.mark.slow
@pytest.mark.parametrize("task", ["mlm", "cls"])
def test_the_quick_benchmark_runs(task, tmp_path):
    pytest.importorskip("accelerate")
    pytest.importorskip("matplotlib")
    command = [
        sys.executable,
        str(HOUSE / "benchmarks" / "vs_trainer.py"),
        "--task",
        task,
        "--quick",
        "--output",
        str(tmp_path),
    ]
    subprocess.run([*command, "--threads", "1"], check=True, capture_output=True)
    saved = json.loads((tmp_path / "results.json").read_text(encoding="utf-8"))
    assert [r["contender"] for r in saved["results"]] == ["a", "b", "c", "d"]
    assert all(r["tokens"] > 0 and r["seconds"] > 0 and r["peak_memory"] > 2**25 for r in saved["results"])
    table = (tmp_path / "results.md").read_text(encoding="utf-8")
    assert "lightning_nlp, default configuration" in table
    assert "peak not measurable" not in table
    assert (tmp_path / "results.png").is_file()
