"""What the host spends on a step: a network so small that almost all of its time is Python and dispatch.

OMP_NUM_THREADS=1 python benchmarks/host_step.py                                                    # CPU time a step
OMP_NUM_THREADS=1 python -m cProfile -s cumulative benchmarks/host_step.py --rounds 1 --ways fit    # where it goes

Two ways to train are compared with torch alone (forward and backward under autocast, clipping, a fused AdamW) on the
same batches: `module`, this package's module under Lightning's Trainer without our callbacks, and `fit`, the command.
"""

from __future__ import annotations

import argparse
import contextlib
import io
import tempfile
import time
from collections.abc import Callable
from typing import Any

import torch
import torch.nn.functional as F
from lightning import Callback
from lightning_clock import Done
from token_data import random_data, train

from lightning_nlp.cli.main import main as command
from lightning_nlp.models import packing
from lightning_nlp.models.classification import SequenceClassifier

SIZES = {"n_layers": 6, "n_heads": 2, "dim": 16, "hidden_dim": 32}
LENGTHS, WORDS = [16] * 4, 500
WARMUP, STEPS = 30, 200


class CpuClock(Callback):
    """Measures the process's CPU time of some steps, and ends the training."""

    seconds = 0.0
    batches: list[dict[str, Any]]
    network: Any

    def on_train_batch_end(self, trainer: Any, pl_module: Any, outputs: Any, batch: Any, batch_idx: int) -> None:
        """Begin after the warm-up; keep the batches and the network."""
        if trainer.global_step == 1:
            CpuClock.batches, CpuClock.network = [], pl_module.network
        CpuClock.batches.append(batch)
        self.tick(trainer.global_step)
        if trainer.global_step == WARMUP + STEPS:
            raise Done

    @staticmethod
    def tick(step: int) -> None:
        """A step is done."""
        if step == WARMUP:
            CpuClock.seconds = time.process_time()
        elif step == WARMUP + STEPS:
            CpuClock.seconds = time.process_time() - CpuClock.seconds


def torch_alone() -> None:
    """The network and batches of the way before, in a loop of one's own."""
    network = CpuClock.network
    optimizer = torch.optim.AdamW(network.parameters(), lr=1e-4, fused=True)
    for step, batch in enumerate(CpuClock.batches, start=1):
        with torch.autocast("cpu", torch.bfloat16):
            logits = packing.forward(network, batch)
        loss = F.cross_entropy(logits.float(), batch["labels"])
        optimizer.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(network.parameters(), 1.0)
        optimizer.step()
        CpuClock.tick(step)


def under_lightning() -> None:
    """Our module under Lightning's Trainer."""
    module = SequenceClassifier(**SIZES, schedule="constant", warmup_ratio=0.0)
    train(module, random_data(LENGTHS, WORDS, WARMUP + STEPS, "cls"), CpuClock(), device="cpu", precision="bf16-mixed")


def fit() -> None:
    """The command, on the demo's texts."""
    sizes = [word for name, size in SIZES.items() for word in (f"--model.{name}", str(size))]
    with tempfile.TemporaryDirectory() as folder:
        arguments = ["fit", "--config", "quickstart.yaml", *sizes, "--data.batch_size", "4"]
        arguments += ["--trainer.precision", "bf16-mixed", "--trainer.limit_val_batches", "0", "--runs_dir", folder]
        arguments += ["--trainer.callbacks", "[host_step.CpuClock]", "--quiet", "true", "--trainer.logger", "false"]
        command(arguments)


WAYS = {"module": under_lightning, "fit": fit}


def milliseconds(way: Callable[[], None]) -> float:
    """CPU time a step."""
    with contextlib.suppress(Done), contextlib.redirect_stdout(io.StringIO()):
        way()
    return 1000 * CpuClock.seconds / STEPS


if __name__ == "__main__":
    import host_step  # the class that `fit` finds, whatever this file is called here

    CpuClock = host_step.CpuClock  # type: ignore[misc]
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--ways", choices=WAYS, nargs="+", default=[*WAYS])
    parser.add_argument("--rounds", type=int, default=3)
    options = parser.parse_args()
    for name in options.ways * options.rounds:
        ours, alone = milliseconds(WAYS[name]), milliseconds(torch_alone)
        print(f"{name}: {ours:.2f} ms, torch alone {alone:.2f} ms, {ours / alone:.2f} times", flush=True)
