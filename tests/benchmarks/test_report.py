import json
import subprocess
import sys

import pytest
import report
import torch
from yardstick import device_facts

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


@pytest.mark.parametrize(("peak", "shown"), [(None, "not known"), (4e9, "peak not measurable")])  # 5e9 reached
def test_without_a_peak_there_is_no_mfu_and_a_missed_goal_is_named(peak, shown):
    results = [result("b", 0, seconds=10.0), result("d", 0, seconds=9.0)]
    table = report.markdown(report.summarise(results, task="mlm", device="cuda", peak_flops=peak))
    assert f"| {shown} |" in table
    assert "%" not in table
    assert "| d / b | 1.11 | 2: **missed** |" in table


def test_the_peak_is_of_the_precision_that_the_contenders_run_in(monkeypatch):
    """A CPU without bf16 units emulates its product, and trains in float32 sixty times as fast."""
    monkeypatch.setattr("lightning_nlp.training.precision._cpu_has_bf16", lambda: False)
    monkeypatch.setattr(
        "lightning_nlp.training.peaks._measured_peak", lambda dtype, threads: {torch.float32: 1e11}[dtype]
    )
    facts = device_facts("cpu")
    assert (facts["peak_flops"], facts["bf16"]) == (1e11, False)
    assert facts["source"].startswith("32-true matmul, measured")


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


@pytest.mark.slow
@pytest.mark.parametrize("task", ["mlm", "cls"])
def test_the_quick_benchmark_runs(task, tmp_path):
    pytest.importorskip("accelerate")
    command = [sys.executable, HOUSE / "benchmarks" / "vs_trainer.py", "--task", task, "--quick", "--output", tmp_path]
    subprocess.run([*command, "--threads", "1"], check=True, capture_output=True)
    saved = json.loads((tmp_path / "results.json").read_text(encoding="utf-8"))
    assert [r["contender"] for r in saved["results"]] == ["a", "b", "c", "d"]
    assert all(r["tokens"] > 0 and r["seconds"] > 0 and r["peak_memory"] > 2**25 for r in saved["results"])
    table = (tmp_path / "results.md").read_text(encoding="utf-8")
    assert "lightning_nlp, default configuration" in table
    assert "peak not measurable" not in table
