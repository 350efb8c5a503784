"""Real tokens a second of our training step against sequence length, tokens a step, and vocabulary, on random ids.

python benchmarks/scaling.py [--device cpu|cuda] [--quick] [--output FOLDER]

One of the three moves while the other two stay at 128 tokens, 2,048 tokens a step and 32,000 words. The step is that of
MaskedLanguageModel under Lightning's Trainer: forward, backward, clipping, AdamW.
"""

from __future__ import annotations

import argparse
import json
import logging
import os
import time
import warnings
from pathlib import Path
from statistics import median
from typing import Any

LENGTHS = (32, 64, 128, 256, 512)
TOKENS = (512, 1024, 2048, 4096, 8192, 16384)
VOCABULARIES = (8_000, 16_000, 32_000, 50_000, 64_000)
BASE = {"length": 128, "tokens_per_batch": 2048, "vocab_size": 32_000}
QUICK_BASE = {"length": 32, "tokens_per_batch": 256, "vocab_size": 1_000}
QUICK = {"length": (16, 32), "tokens_per_batch": (128, 256), "vocab_size": (500, 1_000)}


def main() -> None:
    """Measure, print, save."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--device", choices=("cpu", "cuda"), default="cpu")
    parser.add_argument("--quick", action="store_true", help="A tiny model at two points an axis.")
    parser.add_argument("--steps", type=int, default=3, help="Timed steps a point, after two that are not.")
    parser.add_argument("--layers", type=int, default=6)
    parser.add_argument("--dim", type=int, default=768)
    parser.add_argument("--packing", choices=("auto", "true", "false"), default="auto")
    parser.add_argument("--threads", type=int)
    parser.add_argument("--output", type=Path, default=None, help="Default: benchmarks/results/scaling_<device>.")
    args = parser.parse_args()
    if args.threads:
        os.environ["OMP_NUM_THREADS"] = str(args.threads)  # before torch is imported
    if args.quick:
        args.layers, args.dim = 2, 64
    base = QUICK_BASE if args.quick else BASE
    axes = QUICK if args.quick else {"length": LENGTHS, "tokens_per_batch": TOKENS, "vocab_size": VOCABULARIES}
    output = args.output or Path(__file__).parent / "results" / f"scaling_{args.device}"
    output.mkdir(parents=True, exist_ok=True)
    rows: list[dict[str, Any]] = []
    for axis, values in axes.items():
        print(f"\n| {axis} | real tokens/s | ms a step |\n| --- | --- | --- |", flush=True)
        for value in values:
            point = {**base, axis: value}
            speed = measure(args, **point)
            rows.append({"axis": axis, **point, **speed})
            print(f"| {value:,} | {speed['tokens_per_s']:,.0f} | {speed['step_ms']:,.0f} |", flush=True)
    (output / "results.json").write_text(json.dumps(rows, indent=1), encoding="utf-8")
    plot(output / "results.png", rows)
    print(f"\npacked: {rows[0]['packs']}, {rows[0]['precision']}; saved in {output}")


def measure(args: argparse.Namespace, *, length: int, tokens_per_batch: int, vocab_size: int) -> dict[str, Any]:
    """Train a new model for a few steps.

    Args:
        args: The command line.
        length: Of each sequence, in tokens.
        tokens_per_batch: Tokens a step.
        vocab_size: Entries of the vocabulary.

    Returns:
        `tokens_per_s` and `step_ms`, by the median step, and how it was computed.
    """
    import torch
    from lightning import Callback, seed_everything
    from token_data import TokenData, Vocabulary, random_groups, train
    from yardstick import count

    from lightning_nlp.models.mlm import MaskedLanguageModel

    class Steps(Callback):
        """The end of each step, when the device has done it."""

        def __init__(self) -> None:
            self.ends: list[float] = []
            self.tokens = 0.0

        def on_train_batch_end(self, trainer: Any, pl_module: Any, outputs: Any, batch: Any, batch_idx: int) -> None:
            """Take the time."""
            if args.device == "cuda":
                torch.cuda.synchronize()
            self.ends.append(time.perf_counter())
            self.tokens = float(count(batch)[0])

    warnings.filterwarnings("ignore")
    for name in ("lightning.pytorch", "lightning.fabric"):
        logging.getLogger(name).setLevel(logging.ERROR)
    seed_everything(0, verbose=False)
    lengths = [length] * max(1, tokens_per_batch // length)
    groups = random_groups(lengths, vocab_size, number=2 + args.steps)
    packing = {"auto": "auto", "true": True, "false": False}[args.packing]
    data = TokenData(groups, tokenizer=Vocabulary(vocab_size), max_length=length, packing=packing)
    sizes = {"n_layers": args.layers, "n_heads": args.dim // 64, "dim": args.dim, "hidden_dim": 4 * args.dim}
    module = MaskedLanguageModel(**sizes, max_position_embeddings=512, schedule="constant", warmup_ratio=0.0)
    steps = Steps()
    trainer = train(module, data, steps, device=args.device)
    seconds = median(end - begin for begin, end in zip(steps.ends[1:], steps.ends[2:], strict=False))
    facts = {"packs": data.packed, "precision": str(trainer.precision)}
    return {"tokens_per_s": steps.tokens / seconds, "step_ms": 1000 * seconds, **facts}


def plot(path: Path, rows: list[dict[str, Any]]) -> None:
    """One panel an axis."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    names = list(dict.fromkeys(row["axis"] for row in rows))
    figure, panels = pyplot.subplots(1, len(names), figsize=(4 * len(names), 3.5), layout="constrained", sharey=True)
    for panel, name in zip(panels, names, strict=True):
        points = [(row[name], row["tokens_per_s"]) for row in rows if row["axis"] == name]
        panel.plot(*zip(*points, strict=True), "o-")
        panel.set_xscale("log", base=2)
        panel.set_xlabel(name)
    panels[0].set_ylabel("real tokens a second")
    panels[0].set_ylim(bottom=0)  # of all: they share it, and it must know the points of all
    figure.savefig(path, dpi=120)
    pyplot.close(figure)


if __name__ == "__main__":
    main()
