"""What a pretraining costs: a model of time and money, fitted to measurements on this machine.

python benchmarks/cost_model.py measure --output measurements.json   trains small models on 1, 2 and 4 processes
python benchmarks/cost_model.py fit --input measurements.json        fits the model, and says how wrong it is
python benchmarks/cost_model.py project                              hours and money on GPUs, by assumptions

A step of one process takes

    operations / speed + bytes / memory speed + a constant + what of the all-reduce is not hidden

and COST.md says where each term comes from.
"""

from __future__ import annotations

import argparse
import itertools
import json
import os
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Any

HOUSE = Path(__file__).parent.parent
MASKED = 0.15  # of the tokens: rows of the head
ADAMW_BYTES = 28  # a parameter and step in float32: weight, gradient and two moments read, three of them written
GRADIENT_BYTES = 4  # a parameter; DDP exchanges float32

MODELS = {  # of `measure`: n_layers, dim, hidden_dim, vocab_size
    "tiny": (2, 128, 512, 2_000),
    "small": (4, 256, 1024, 8_000),
    "medium": (6, 512, 2048, 30_000),
}


def main() -> None:
    """One of the three."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    commands = parser.add_subparsers(required=True)
    measuring = commands.add_parser("measure")
    measuring.add_argument("--output", type=Path, required=True)
    measuring.add_argument("--steps", type=int, default=40)
    measuring.set_defaults(run=lambda args: measure(args.output, args.steps))
    fitting = commands.add_parser("fit")
    fitting.add_argument("--input", type=Path, required=True)
    fitting.set_defaults(run=lambda args: report_fit(json.loads(args.input.read_text())))
    projecting = commands.add_parser("project")
    projecting.set_defaults(run=lambda args: project())
    args = parser.parse_args()
    args.run(args)


def measure(output: Path, steps: int) -> None:
    """Train each model on 1, 2 and 4 processes of one thread, with two sizes of batches."""
    rows = []
    with tempfile.TemporaryDirectory() as folder:
        for name, tokens, processes in itertools.product(MODELS, (512, 2048), (1, 2, 4)):
            row = measure_one(name, tokens, processes, steps, Path(folder))
            rows.append(row)
            print(json.dumps(row), flush=True)
    output.write_text(json.dumps(rows, indent=1), encoding="utf-8")


def measure_one(name: str, tokens: int, processes: int, steps: int, folder: Path) -> dict[str, Any]:
    """Seconds a step, from the run's own count of tokens a second."""
    layers, dim, hidden, vocabulary = MODELS[name]
    runs = folder / f"{name}-{tokens}-{processes}"
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc_per_node", str(processes)]
    command += [HOUSE / "train.py", "fit", "--config", "quickstart_mlm.yaml", "--trainer.devices", str(processes)]
    command += ["--trainer.accelerator", "cpu", "--trainer.strategy", "ddp", "--trainer.max_steps", str(steps)]
    command += ["--model.n_layers", str(layers), "--model.dim", str(dim), "--model.hidden_dim", str(hidden)]
    command += ["--data.vocab_size", str(vocabulary), "--data.tokens_per_batch", str(tokens)]
    command += ["--data.min_frequency", "1", "--data.cache_dir", folder / "cache", "--runs_dir", runs]
    command += ["--trainer.limit_val_batches", "0", "--trainer.limit_test_batches", "1", "--trainer.logger", "false"]
    command += ["--trainer.log_every_n_steps", "10", "--quiet", "true", "--trainer.max_epochs", "1000"]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, env=environment)
    (run,) = runs.glob("*/*")
    facts = json.loads((run / "facts.json").read_text())
    data = json.loads((run / "data.json").read_text())["splits"]["train"]
    config = json.loads((run / "export" / "config.json").read_text())
    length = (data["tokens"] + 2 * data["rows"]) / data["rows"]
    size = Size(layers, dim, hidden, config["vocab_size"])
    return {
        "model": name,
        "processes": processes,
        "tokens": tokens,
        "length": length,
        "parameters": size.parameters,
        "operations": size.operations(length) * tokens,
        "activations": size.activations * tokens,
        "seconds": tokens * processes / facts["tokens_per_s"],
    }


@dataclass(frozen=True)
class Size:
    """A DistilBERT's or BERT's sizes."""

    layers: int
    dim: int
    hidden: int
    vocabulary: int
    positions: int = 512

    @property
    def parameters(self) -> int:
        """All of them: the word embeddings are the head's too."""
        layer = 4 * self.dim * self.dim + 2 * self.dim * self.hidden + 9 * self.dim + self.hidden
        head = self.dim * self.dim + 3 * self.dim + self.vocabulary
        return (self.vocabulary + self.positions) * self.dim + self.layers * layer + head

    @property
    def activations(self) -> int:
        """Bytes of hidden states for each token; how often each is read and written belongs to the fitted speed."""
        return 4 * self.layers * (self.dim + self.hidden)

    def operations(self, length: float) -> float:
        """Of a training step, for each real token (three times the forward pass, as in `lightning_nlp/flops.py`).

        Args:
            length: Tokens of a sequence, the mean by tokens.
        """
        layer = 2 * (4 * self.dim * self.dim + 2 * self.dim * self.hidden) + 4 * self.dim * length
        head = MASKED * 2 * (self.dim * self.dim + self.dim * self.vocabulary)
        return 3 * (self.layers * layer + head)


def terms(row: dict[str, Any], cores: int) -> list[float]:
    """What a step's time is a sum of: operations, bytes of activations and of gradients, a step, an exchange."""
    share = max(1.0, row["processes"] / cores)  # more processes than cores take turns
    exchanged = 2 * (row["processes"] - 1) / row["processes"] * GRADIENT_BYTES * row["parameters"]
    exchanges = float(row["processes"] > 1)
    return [term * share for term in (row["operations"], row["activations"], exchanged, 1.0, exchanges)]


def fit(rows: list[dict[str, Any]], cores: int) -> list[float]:
    """The terms' costs, none negative, with the least sum of squared relative errors."""
    import numpy as np
    from sklearn.linear_model import LinearRegression

    scaled = np.array([[term / row["seconds"] for term in terms(row, cores)] for row in rows])
    size = scaled.max(axis=0)
    found = LinearRegression(positive=True, fit_intercept=False).fit(scaled / size, np.ones(len(rows)))
    return list(found.coef_ / size)


def predicted(row: dict[str, Any], costs: list[float], cores: int) -> float:
    """Seconds a step."""
    return sum(term * cost for term, cost in zip(terms(row, cores), costs, strict=True))


def report_fit(rows: list[dict[str, Any]], cores: int = os.cpu_count() or 1) -> None:
    """The costs, and each measurement beside what the others predict for it."""
    operations, activations, exchanged, step, exchange = fit(rows, cores)

    def speed(cost: float) -> str:
        return short(1e-9 / cost) if cost else "infinitely many"

    print(
        f"{speed(operations)} GFLOP/s a process, {speed(activations)} GB/s of activations, {speed(exchanged)} GB/s of "
        f"gradients, {step * 1e3:.0f} ms a step, {exchange * 1e3:.0f} ms an exchange; {cores} cores\n"
    )
    print("| model | tokens a process | processes | measured ms | predicted by the others | error |")
    print("| --- | --- | --- | --- | --- | --- |")
    errors = []
    for row in rows:
        others = [other for other in rows if other is not row]
        seconds = predicted(row, fit(others, cores), cores)
        errors.append(seconds / row["seconds"] - 1)
        print(
            f"| {row['model']} | {row['tokens']:,} | {row['processes']} | {row['seconds'] * 1e3:,.0f} | "
            f"{seconds * 1e3:,.0f} | {errors[-1]:+.0%} |"
        )
    sizes = sorted(map(abs, errors))
    print(f"\nmedian error {median(sizes):.0%}, largest {sizes[-1]:.0%}")


@dataclass(frozen=True)
class Device:
    """A GPU, by its data sheet; speeds in FLOP/s and bytes/s, money in dollars an hour."""

    name: str
    peak: float  # bf16, dense
    memory: float
    within: float  # between the GPUs of a node, each way
    between: float  # between nodes, for each GPU
    price: float


GPUS = (
    Device("A100 SXM", 312e12, 2.0e12, 300e9, 25e9, 2.0),
    Device("H100 SXM", 989e12, 3.35e12, 450e9, 50e9, 3.0),
)
ENCODERS = {"DistilBERT": Size(6, 768, 3072, 30_522), "BERT-base": Size(12, 768, 3072, 30_522)}
EFFICIENCIES = (0.25, 0.45)  # of the peak, in matrix products and all that surrounds them
STEP_TOKENS = 1 << 22  # a step's tokens at most: larger batches learn no more from a token
DEVICE_TOKENS = 1 << 16  # a device's at most
LENGTH = 128
CONSTANT = 2e-3  # seconds a step: launching kernels, logging
HIDDEN = 2 / 3  # of the computing is the backward pass, which the exchange runs beside


def gpu_step(size: Size, device: Device, number: int, efficiency: float, length: float = LENGTH) -> tuple[float, float]:
    """A step's tokens on all devices, and its seconds."""
    tokens = min(DEVICE_TOKENS, STEP_TOKENS // number)
    computing = size.operations(length) * tokens / (device.peak * efficiency)
    optimizer = ADAMW_BYTES * size.parameters / device.memory
    link = device.within if number <= 8 else device.between
    exchange = 2 * (number - 1) / number * GRADIENT_BYTES * size.parameters / link
    return tokens * number, computing + optimizer + CONSTANT + max(0.0, exchange - HIDDEN * computing)


def project() -> None:
    """Hours and dollars for both encoders; from the efficient to the inefficient."""
    for device in GPUS:
        print(f"\n### {device.name}, ${device.price:.2f} an hour\n")
        print("| model | GPUs | tokens/s | 1 B tokens | 100 B tokens | 1 T tokens |")
        print("| --- | --- | --- | --- | --- | --- |")
        for (name, size), number in itertools.product(ENCODERS.items(), (1, 8, 64, 512)):
            speeds = [
                tokens / seconds
                for tokens, seconds in (gpu_step(size, device, number, efficiency) for efficiency in EFFICIENCIES)
            ]
            cells = [cost_cell(budget, speeds, number * device.price) for budget in (1e9, 1e11, 1e12)]
            print(f"| {name} | {number} | {speeds[0] / 1e6:,.2f} to {speeds[1] / 1e6:,.2f} M | {' | '.join(cells)} |")


def cost_cell(budget: float, speeds: list[float], price: float) -> str:
    """Hours and dollars, from the efficient to the inefficient."""
    fast, slow = (budget / speed / 3600 for speed in reversed(speeds))
    return f"{short(fast)} to {short(slow)} h, ${short(fast * price)} to {short(slow * price)}"


def short(number: float) -> str:
    """Two digits, and no powers of ten."""
    return f"{float(f'{number:.2g}'):,.10g}"


if __name__ == "__main__":
    main()
