"""The one yardstick for all contenders: real tokens, wall time, peak memory, FLOPs, and a held-out metric.

A contender calls `Yardstick.step` after each optimizer step, whatever its training loop is.
"""

from __future__ import annotations

import json
import math
import time
from pathlib import Path
from typing import Any

import torch
from heldout import HeldOut

from lightning_nlp.training import hardware, peaks
from lightning_nlp.training.counts import Counts, count_batch
from lightning_nlp.training.flops import training_costs, training_flops
from lightning_nlp.training.precision import default_precision


def peak_memory() -> int:
    """The most memory so far in bytes: allocated on the GPU, or resident of this process alone."""
    if torch.cuda.is_available() and torch.cuda.is_initialized():
        return torch.cuda.max_memory_allocated()
    # ru_maxrss would include what the parent process held when it started this one
    status = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) * 1024 for line in status if line.startswith("VmHWM"))


def device_facts(device: str) -> dict[str, Any]:
    """The device's name, whether it multiplies bf16, and the peak of matrix products in the precision of b, c and d."""
    precision = default_precision(device)  # without bf16 units its product is emulated, far below any peak
    peak, name = peaks.peak_flops(torch.device(device), precision), hardware.device_name(device)
    source = f"{precision} matmul, measured" if device == "cpu" else "data sheet" if peak else "not in the table"
    return {"device": name, "bf16": precision == "bf16-mixed", "peak_flops": peak, "source": source}


class Yardstick:
    """Measures a training: either a window of steps, or the time to a held-out value.

    Args:
        job: `contender`, `device`, `warmup`, and `steps` or `until`; `result` is the file to write, if there is one.
        facts: What to write beside the measurements.
    """

    def __init__(self, job: dict[str, Any], **facts: Any) -> None:
        self.job = job
        self.facts = facts
        self.steps = 0
        self.last_step: int | None = None if job["steps"] is None else job["warmup"] + job["steps"]
        self.counts: list[Counts] = []
        self.losses: list[torch.Tensor] = []
        self.curve: list[dict[str, float]] = []
        self.paused = 0.0
        self.begun = 0.0
        self.heldout = HeldOut(job) if job["until"] else None
        self.result: dict[str, Any] = {}

    def begin(self, network: Any) -> None:
        """The training begins: data and model are ready."""
        self.costs = training_costs(network)
        self.begun = time.perf_counter()

    def step(self, network: Any, batch: dict[str, Any], loss: torch.Tensor) -> bool:
        """An optimizer step is done; returns whether the measurement is over."""
        self.steps += 1
        if self.steps == self.job["warmup"] and not self.heldout:
            self._wait()
            self.begun = time.perf_counter()
            return False
        if self.steps > self.job["warmup"] or self.heldout:
            self.counts.append(count_batch(batch, self.costs and self.costs.window))
            self.losses.append(loss.detach())
        if self.heldout:
            return self.steps % self.job["eval_every_steps"] == 0 and self._evaluate(network)
        if self.steps == self.last_step:
            self._wait()
            self._write(time.perf_counter() - self.begun)
            return True
        return False

    def finish(self, network: Any) -> None:
        """The training ended by itself, after its last epoch."""
        if self.heldout and not self.result and not self._evaluate(network):
            self._write(time.perf_counter() - self.begun - self.paused)

    def _evaluate(self, network: Any) -> bool:
        assert self.heldout is not None
        self._wait()
        before = time.perf_counter()
        seconds = before - self.begun - self.paused
        value = self.heldout.measure(network)
        tokens = sum(int(counts.tokens) for counts in self.counts)
        self.curve.append({"seconds": seconds, "tokens": tokens, "step": self.steps, "value": value})
        print(f"step {self.steps}, {seconds:.0f} s, {tokens:.0f} tokens: {value:.4f}", flush=True)
        self.paused += time.perf_counter() - before
        until = self.job["until"]
        reached = value <= until["value"] if until["metric"] == "loss" else value >= until["value"]
        if reached or seconds > 60 * until["max_minutes"]:
            self._write(seconds)
            return True
        return False

    def _wait(self) -> None:
        if self.job["device"] == "cuda":
            torch.cuda.synchronize()

    def _write(self, seconds: float) -> None:
        memory = peak_memory()
        step_tokens = [int(counts.tokens) for counts in self.counts]
        flops = [training_flops(self.costs, counts) if self.costs else math.nan for counts in self.counts]
        self.result = {
            "contender": self.job["contender"],
            "steps": len(step_tokens),
            "seconds": seconds,
            "tokens": sum(step_tokens),
            "flops": sum(flops),
            "peak_memory": memory,
            "step_tokens": step_tokens,
            "losses": torch.stack(self.losses).float().cpu().tolist(),
            "curve": self.curve,
            "torch": torch.__version__,
            **self.facts,
        }
        if "result" in self.job:
            Path(self.job["result"]).write_text(json.dumps(self.result), encoding="utf-8")
