"""Streams: does a corpus larger than memory pass through, and what does it cost beside the cached way?

python benchmarks/streaming.py corpus --gigabytes 5 --output corpus/     writes shards of generated sentences
python benchmarks/streaming.py pass --path 'corpus/*.txt'              reads and batches all of it once, no model
python benchmarks/streaming.py speed --path sentences.txt                trains cached and streamed, in turns

`pass` prints texts and tokens a second, and the most memory that all processes together had (proportional set size).
"""

from __future__ import annotations

import argparse
import itertools
import json
import os
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path
from statistics import median
from types import SimpleNamespace
from typing import Any

HOUSE = Path(__file__).parent.parent
SHARD_BYTES = 100_000_000
TOKENS_PER_BATCH = 16384  # of `pass`
SYLLABLES = "an bo ĉe do el fa ĝi ho in ja ĵu ka lu mo ne or pa re so ŝu ti ur va zo".split()


def main() -> None:
    """One of the three."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    commands = parser.add_subparsers(required=True)
    corpus = commands.add_parser("corpus")
    corpus.add_argument("--gigabytes", type=float, default=5)
    corpus.add_argument("--output", type=Path, required=True)
    corpus.set_defaults(run=write_corpus)
    whole = commands.add_parser("pass")
    whole.add_argument("--path", required=True)
    whole.set_defaults(run=one_pass)
    speed = commands.add_parser("speed")
    speed.add_argument("--path", required=True)
    speed.add_argument("--config", default="quickstart_mlm.yaml")
    speed.add_argument("--steps", type=int, default=300)
    speed.add_argument("--rounds", type=int, default=3)
    speed.add_argument("--more", default="", help="Further arguments for both.")
    speed.set_defaults(run=compare_speed)
    args = parser.parse_args()
    args.run(args)


def write_corpus(args: argparse.Namespace) -> None:
    """Sentences of words that are three syllables each, the frequent ones far more frequent than the rare ones."""
    import numpy as np

    words = np.array(["".join(parts) for parts in itertools.product(SYLLABLES, repeat=3)], dtype=object)
    args.output.mkdir(parents=True, exist_ok=True)
    for shard in range(max(1, round(args.gigabytes * 1e9 / SHARD_BYTES))):
        rng = np.random.default_rng(shard)
        size = 0
        with (args.output / f"part-{shard:04}.txt").open("w", encoding="utf-8") as file:
            while size < SHARD_BYTES:
                lengths = rng.integers(4, 40, 10_000)
                drawn = words[(len(words) * rng.random(lengths.sum()) ** 4).astype(np.int64)]
                ends = np.cumsum(lengths)
                text = "".join(
                    " ".join(drawn[end - length : end]) + ".\n" for end, length in zip(ends, lengths, strict=True)
                )
                file.write(text)
                size += len(text.encode())


def one_pass(args: argparse.Namespace) -> None:
    """All shards once through the loader that a training would have."""
    from lightning_nlp import StreamingDataModule

    memory = Memory()
    with tempfile.TemporaryDirectory() as folder:
        data = StreamingDataModule(
            args.path,
            tokens_per_batch=TOKENS_PER_BATCH,
            num_workers=2,
            max_length=128,
            vocab_size=10_000,
            tokenizer_samples=500_000,
            cache_dir=folder,
        )
        start = time.monotonic()
        data.prepare_data()
        data.setup()
        prepared = time.monotonic() - start
        # what a model tells the data module, and what that asks a Trainer for
        data.packed, numbers = True, {"world_size": 1, "global_rank": 0}
        data.trainer = SimpleNamespace(**numbers, max_steps=sys.maxsize, accumulate_grad_batches=1)  # type: ignore[assignment]
        loader: Any = data.train_dataloader()
        start, texts, tokens, batches, told = time.monotonic(), 0, 0, 0, 0.0
        for batch in loader:
            texts += len(batch["cu_seqlens"]) - 1
            tokens += batch["input_ids"].numel()
            batches += 1
            seconds = time.monotonic() - start
            if seconds > told + 60:
                told = seconds
                print(f"{seconds:4.0f} s  {texts:,} texts  {tokens:,} tokens  {memory.peak_gib:.2f} GiB", flush=True)
            if loader.passes:
                break
        seconds = time.monotonic() - start
    print(
        f"{texts:,} texts, {tokens:,} tokens in {seconds:.0f} s ({tokens / seconds:,.0f} tokens/s) after "
        f"{prepared:.0f} s of preparation; batches {tokens / batches / TOKENS_PER_BATCH:.1%} full; at most "
        f"{memory.peak_gib:.2f} GiB in all processes."
    )


class Memory:
    """Watches what this process and its children have in memory together."""

    def __init__(self) -> None:
        self.peak_gib = 0.0
        threading.Thread(target=self._watch, daemon=True).start()

    def _watch(self) -> None:
        while True:
            found = subprocess.run(["ps", "-o", "pid=", "--ppid", str(os.getpid())], capture_output=True, text=True)
            processes = [str(os.getpid()), *found.stdout.split()]
            self.peak_gib = max(self.peak_gib, sum(map(proportional_set_size, processes)) / 2**30)
            time.sleep(1)


def proportional_set_size(process: str) -> int:
    """Bytes in memory; what n processes share counts 1/n for each."""
    try:
        lines = Path(f"/proc/{process}/smaps_rollup").read_text().splitlines()
    except OSError:  # it has ended
        return 0
    return next(int(line.split()[1]) * 1024 for line in lines if line.startswith("Pss:"))


def compare_speed(args: argparse.Namespace) -> None:
    """The same training on cached and on streamed texts, in turns; tokens a second as each run itself counts them."""
    speeds: dict[str, list[float]] = {"cached": [], "streamed": []}
    with tempfile.TemporaryDirectory() as folder:
        common = ["fit", "--config", args.config, "--data.path", args.path, "--trainer.max_steps", str(args.steps)]
        common += ["--data.cache_dir", f"{folder}/cache", "--trainer.logger", "false", "--trainer.max_epochs", "1000"]
        common += ["--trainer.limit_val_batches", "1", "--trainer.limit_test_batches", "1", *args.more.split()]
        streaming = ["--data", "lightning_nlp.StreamingDataModule"]
        streaming += ["--data.max_val_samples", "500", "--data.max_test_samples", "500"]
        # The next block is prepared while this one is trained on: with the default, a short run would prepare twice the
        # texts that it sees.
        streaming += ["--data.shuffle_rows", "5000"]
        for number in range(args.rounds):
            for name, more in (("cached", []), ("streamed", streaming)):
                runs = f"{folder}/{name}-{number}"
                command = [sys.executable, HOUSE / "train.py", *common, *more, "--runs_dir", runs, "--quiet", "true"]
                subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
                (facts,) = Path(runs).glob("*/*/facts.json")
                speeds[name].append(json.loads(facts.read_text())["tokens_per_s"])
                print(f"{name}: {speeds[name][-1]:,.0f} tokens/s", flush=True)
    ratios = [streamed / cached for cached, streamed in zip(speeds["cached"], speeds["streamed"], strict=True)]
    cached, streamed = (median(values) for values in speeds.values())
    print(
        f"cached {cached:,.0f}, streamed {streamed:,.0f} tokens/s (medians of {args.rounds}); streamed / cached "
        f"{median(ratios):.3f} ({min(ratios):.3f} to {max(ratios):.3f})"
    )


if __name__ == "__main__":
    main()
