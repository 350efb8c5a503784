"""The one yardstick for all contenders: real tokens, wall time, peak memory, FLOPs, and a held-out metric.

A contender calls `Yardstick.step` after each optimizer step, whatever its training loop is.
"""

from __future__ import annotations

import json
import resource
import sys
import time
from pathlib import Path
from typing import Any

import torch
from heldout import HeldOut


def read_job() -> dict[str, Any]:
    """The job that this process was started for: a JSON file, its only argument."""
    return json.loads(Path(sys.argv[1]).read_text(encoding="utf-8"))


def count(batch: dict[str, Any]) -> torch.Tensor:
    """What a batch holds: (3,) real tokens, rows that the head must compute, and the sum of the squared lengths."""
    labels = batch["labels"]
    rows = (labels != -100).sum()
    packed = "cu_seqlens" in batch
    lengths = (batch["cu_seqlens"].diff() if packed else batch["attention_mask"].sum(dim=1)).double()
    return torch.stack([lengths.sum(), rows.double(), lengths.square().sum()])


def model_sizes(network: Any) -> dict[str, int]:
    """Weights in matrix products, of the encoder and of the head, and what attention costs: layers and width."""
    encoder = network.base_model
    inside = {id(module) for module in encoder.modules()}
    sizes = {"encoder": 0, "head": 0}
    for module in network.modules():
        if isinstance(module, torch.nn.Linear):
            sizes["encoder" if id(module) in inside else "head"] += module.weight.numel()
    config = network.config
    return sizes | {"layers": config.num_hidden_layers, "dim": config.hidden_size}


def training_flops(sizes: dict[str, int], tokens: float, head_rows: float, squared_lengths: float) -> float:
    """FLOPs of forward and backward that the task needs; padding and unneeded rows of the head are not counted.

    A weight takes 2 FLOPs a token forward and 4 backward. Attention takes, for a sequence of length L in a layer of
    width d, 2 L^2 d for the scores and 2 L^2 d for the mean forward, and twice that backward.

    Args:
        sizes: As `model_sizes` gives them.
        tokens: Real tokens.
        head_rows: Masked tokens, or texts.
        squared_lengths: The sum of the squared lengths.
    """
    matrices = 6 * (sizes["encoder"] * tokens + sizes["head"] * head_rows)
    return matrices + 12 * sizes["layers"] * sizes["dim"] * squared_lengths


def peak_memory() -> int:
    """The most memory so far in bytes: allocated on the GPU, or resident of this process alone."""
    if torch.cuda.is_available() and torch.cuda.is_initialized():
        return torch.cuda.max_memory_allocated()
    status = Path("/proc/self/status")
    if status.is_file():  # ru_maxrss would include what the parent process held when it started this one
        line = next(line for line in status.read_text().splitlines() if line.startswith("VmHWM"))
        return int(line.split()[1]) * 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)


def peak_flops(device: str) -> tuple[float | None, str]:
    """FLOP/s of matrix products in the precision of b, c and d, and where from: a GPU's data sheet, or measured."""
    from lightning_nlp.training import peaks
    from lightning_nlp.training.precision import default_precision

    precision = default_precision(device)  # without bf16 units its product is emulated, far below any peak
    peak = peaks.peak_flops(torch.device(device), precision)
    if device == "cuda":
        return peak, f"{torch.cuda.get_device_name()}, {precision}, {'data sheet' if peak else 'not in the table'}"
    return peak, f"{precision} matmul, measured with {torch.get_num_threads()} threads"


class Yardstick:
    """Measures one contender's run: either a window of steps, or the time to a held-out value.

    Args:
        job: What `vs_trainer.py` wrote: `warmup` and `steps`, or `until`, and `result`, the file to write.
        facts: What to write beside the measurements.
    """

    def __init__(self, job: dict[str, Any], **facts: Any) -> None:
        self.job = job
        self.facts = facts
        self.steps = 0
        self.last_step: int | None = None if job["steps"] is None else job["warmup"] + job["steps"]
        self.counts: list[torch.Tensor] = []
        self.losses: list[torch.Tensor] = []
        self.curve: list[dict[str, float]] = []
        self.paused = 0.0
        self.begun = 0.0
        self.heldout = HeldOut(job) if job["until"] else None

    def begin(self) -> None:
        """The training begins: data and model are ready."""
        self.begun = time.perf_counter()

    def step(self, network: Any, counts: torch.Tensor, loss: torch.Tensor) -> bool:
        """An optimizer step is done.

        Args:
            network: The network in training.
            counts: As `count` gives them for the step's batch.
            loss: The batch's mean loss.

        Returns:
            Whether the measurement is over, and the result written.
        """
        self.steps += 1
        if self.steps == self.job["warmup"] and not self.heldout:
            self._wait()
            self.begun = time.perf_counter()
            return False
        if self.steps > self.job["warmup"] or self.heldout:
            self.counts.append(counts)
            self.losses.append(loss.detach())
        if self.heldout:
            return self.steps % self.job["eval_every_steps"] == 0 and self._evaluate(network)
        if self.steps == self.last_step:
            self._wait()
            self._write(network, time.perf_counter() - self.begun)
            return True
        return False

    def finish(self, network: Any) -> None:
        """The training ended by itself, after its last epoch."""
        if self.heldout and not Path(self.job["result"]).is_file() and not self._evaluate(network):
            self._write(network, self._seconds())

    def _seconds(self) -> float:
        return time.perf_counter() - self.begun - self.paused

    def _evaluate(self, network: Any) -> bool:
        assert self.heldout is not None
        self._wait()
        seconds, before = self._seconds(), time.perf_counter()
        value = self.heldout.measure(network)
        tokens = float(torch.stack(self.counts)[:, 0].sum())
        self.curve.append({"seconds": seconds, "tokens": tokens, "step": self.steps, "value": value})
        print(f"step {self.steps}, {seconds:.0f} s, {tokens:.0f} tokens: {value:.4f}", flush=True)
        self.paused += time.perf_counter() - before
        until = self.job["until"]
        reached = value <= until["value"] if until["metric"] == "loss" else value >= until["value"]
        if reached or seconds > 60 * until["max_minutes"]:
            self._write(network, seconds)
            return True
        return False

    def _wait(self) -> None:
        if self.job["device"] == "cuda":
            torch.cuda.synchronize()

    def _write(self, network: Any, seconds: float) -> None:
        memory = peak_memory()
        counts = torch.stack(self.counts).cpu()
        tokens, rows, squared = counts.sum(dim=0).tolist()
        result = {
            "contender": self.job["contender"],
            "steps": len(counts),
            "seconds": seconds,
            "tokens": tokens,
            "flops": training_flops(model_sizes(network), tokens, rows, squared),
            "peak_memory": memory,
            "step_tokens": counts[:, 0].tolist(),
            "losses": torch.stack(self.losses).float().cpu().tolist(),
            "curve": self.curve,
            "torch": torch.__version__,
            **self.facts,
        }
        Path(self.job["result"]).write_text(json.dumps(result), encoding="utf-8")


if __name__ == "__main__":
    peak, source = peak_flops(sys.argv[1])
    name = torch.cuda.get_device_name() if sys.argv[1] == "cuda" else f"CPU, {torch.get_num_threads()} threads"
    from lightning_nlp.training.precision import default_precision

    bf16 = default_precision(sys.argv[1]) == "bf16-mixed"
    print(json.dumps({"peak_flops": peak, "source": source, "device": name, "bf16": bf16}))
