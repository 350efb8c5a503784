"""Real tokens a second of our training step against sequence length, tokens a step, and vocabulary, on random ids.

python benchmarks/scaling.py [--device cpu|cuda] [--quick] [--output FOLDER]

One of the three moves while the other two stay at 128 tokens, 2,048 tokens a step and 32,000 words. The step is that of
MaskedLanguageModel under Lightning's Trainer: forward, backward, clipping, AdamW.
"""

from __future__ import annotations

import argparse
import json
import logging
import warnings
from pathlib import Path
from typing import Any

from lightning import seed_everything
from lightning_clock import time_steps
from token_data import new_module, random_data

AXES = {
    "length": (32, 64, 128, 256, 512),
    "tokens_per_batch": (512, 1024, 2048, 4096, 8192, 16384),
    "vocab_size": (8_000, 16_000, 32_000, 50_000, 64_000),
}
BASE = {"length": 128, "tokens_per_batch": 2048, "vocab_size": 32_000}
QUICK_AXES = {"length": (16, 32), "tokens_per_batch": (128, 256), "vocab_size": (500, 1_000)}
QUICK_BASE = {"length": 32, "tokens_per_batch": 256, "vocab_size": 1_000}
WARMUP = 2  # steps


def main() -> None:
    """Measure, print, save."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--device", choices=("cpu", "cuda"), default="cpu")
    parser.add_argument("--quick", action="store_true", help="A tiny model at two points an axis.")
    parser.add_argument("--steps", type=int, default=3, help=f"Timed steps a point, after {WARMUP} that are not.")
    parser.add_argument("--packing", choices=("auto", "true", "false"), default="auto")
    parser.add_argument("--output", type=Path, default=None, help="Default: benchmarks/results/scaling_<device>.")
    args = parser.parse_args()
    warnings.filterwarnings("ignore")
    for name in ("lightning.pytorch", "lightning.fabric"):
        logging.getLogger(name).setLevel(logging.ERROR)
    output = args.output or Path(__file__).parent / "results" / f"scaling_{args.device}"
    output.mkdir(parents=True, exist_ok=True)
    base = QUICK_BASE if args.quick else BASE
    rows: list[dict[str, Any]] = []
    for axis, values in (QUICK_AXES if args.quick else AXES).items():
        print(f"\n| {axis} | real tokens/s | ms a step |\n| --- | --- | --- |", flush=True)
        for value in values:
            point = {**base, axis: value}
            speed = measure(args, **point)
            rows.append({"axis": axis, **point, **speed})
            print(f"| {value:,} | {speed['tokens_per_s']:,.0f} | {speed['step_ms']:,.0f} |", flush=True)
    (output / "results.json").write_text(json.dumps(rows, indent=1), encoding="utf-8")
    print(f"\npacked: {rows[0]['packs']}, {rows[0]['precision']}; saved in {output}")


def measure(args: argparse.Namespace, *, length: int, tokens_per_batch: int, vocab_size: int) -> dict[str, Any]:
    """Train a new model for a few steps: `tokens_per_s` and `step_ms`, and how it was computed."""
    seed_everything(0, verbose=False)
    packing = {"auto": "auto", "true": True, "false": False}[args.packing]
    lengths = [length] * max(1, tokens_per_batch // length)
    data = random_data(lengths, vocab_size, WARMUP + args.steps, "mlm", packing)
    found = time_steps(new_module("mlm", *((2, 64) if args.quick else (6, 768))), data, args.device, WARMUP)
    speed = {"tokens_per_s": found["tokens"] / found["seconds"], "step_ms": 1000 * found["seconds"] / args.steps}
    return speed | {"packs": found["packs"], "precision": found["precision"]}


if __name__ == "__main__":
    main()
