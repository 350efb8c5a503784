"""What this package does on a GPU, measured in nine minutes: speed, exactness, and the HF Trainer beside it.

python benchmarks/gpu.py --output results/                    # on a machine with a CUDA card; no network is needed
python benchmarks/gpu.py --output results/ --imdb aclImdb/ --pretrained distilbert/distilbert-base-uncased
python benchmarks/gpu.py --output results/ --tiny --device cpu    # under a minute: shows that it runs, not how fast

Each part has its time limit, and what it measured is written when it ends: gpu.md is a table for benchmarks/README.md,
gpu.json has all numbers, gpu.log what the parts said. One process measures them all, since on a slow host its imports
take 20 seconds; where a part fails or is late, the process ends and another one goes on with the next.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import shlex
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from isolated import Part, Worker

HERE = Path(__file__).parent.resolve()
ROOT = HERE.parent
PARTS = (
    Part("a", "the card", 25, "gpu_steps:machine"),
    Part("c", "speed of DistilBERT, 6 x 768, 50,000 words, random tokens", 125, "gpu_steps:speed"),
    Part("h", "a step's ten largest kernels", 25, "gpu_steps:profile"),
    Part("d", "the HF Trainer beside it", 120, "gpu_trainings:hf_trainer"),
    Part("b", "packed against padded: relative distances", 45, "agreement:packed_against_padded"),
    Part("e", "IMDB, two epochs", 85, "gpu_trainings:imdb"),
    Part("f", "exactness", 35, "gpu_trainings:exactness"),
    Part("f", "exactness, deterministic", 45, "gpu_trainings:exactness_deterministic", fresh=True),
)  # what is worth most comes first; their limits are nine minutes together, and what one leaves goes to those after it
LEAST = 10.0  # seconds; with less left, a part is not begun


def parse(arguments: list[str] | None) -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    add = parser.add_argument
    add("--output", type=Path, required=True, help="The folder for gpu.md, gpu.json and gpu.log.")
    add("--device", choices=("cuda", "cpu"), default="cuda")
    add("--tiny", action="store_true", help="Tiny sizes: shows that it runs, not how fast.")
    add("--imdb", type=Path, help="For e and d: a folder with IMDB's parquet files, or the aclImdb tree.")
    add("--pretrained", help="For e and d: a checkpoint, folder or cached Hub id; default that of configs/cls.yaml.")
    add("--sentences", type=Path, help="For d: a file of sentences instead of the demo's.")
    add("--parts", default="abcdefh", help="These alone, such as cf.")
    add("--minutes", type=float, default=9.0, help="All parts together; what does not fit is left out.")
    options = parser.parse_args(arguments)
    for name in ("imdb", "sentences"):
        path = getattr(options, name)
        if path is not None and not path.exists():
            parser.error(f"there is no {path}: give --{name} another path")
        setattr(options, name, path and path.resolve())
    if unknown := set(options.parts) - {part.name for part in PARTS}:
        parser.error(f"there is no part {', '.join(sorted(unknown))}: give --parts letters of abcdefh")
    return options


def check_device(device: str) -> None:
    """Stop here, in one sentence, where there is no card."""
    import torch

    if device == "cuda" and not torch.cuda.is_available():
        sys.exit(
            f"gpu.py: torch {torch.__version__} sees no CUDA device: see to its driver or build, or try the script "
            "with --tiny --device cpu."
        )


def measure(parts: list[Part], options: argparse.Namespace) -> list[dict[str, Any]]:
    """Measure part after part, and write all that is known after each; returns what `Worker.measure` does for each."""
    begin, results = time.monotonic(), list[dict[str, Any]]()
    worker: Worker | None = None
    try:
        for number, part in enumerate(parts):
            left = 60 * options.minutes - (time.monotonic() - begin)
            if left < min(LEAST, part.seconds):
                reason = f"the {options.minutes:g} minutes were over"
                result = {"part": part.name, "title": part.title, "state": "left out", "reason": reason}
                result |= {"seconds": 0.0, "rows": []}
            else:
                limit = max(min(part.seconds, left), left - sum(later.seconds for later in parts[number + 1 :]))
                if worker and part.fresh:
                    worker.end()
                if not worker or part.fresh or not worker.usable:
                    worker = Worker(options, options.output / "gpu.log")
                result = worker.measure(part, limit, options.work)
            results.append(result)
            write(results, options)
            print("\n".join(lines(result)), flush=True)
            if result["state"] == "interrupted":
                sys.exit(143)
    finally:
        if worker:
            worker.end()
    return results


def lines(result: dict[str, Any]) -> list[str]:
    """A part's lines of the table: how it ended, then its rows."""
    end = f"in {result['seconds']:.0f} s"
    if result["state"] != "done":
        end = f"**{result['state']}**: {result['reason']}"
    found = [f"| **{result['part']}** | **{result['title']}** | {end} |"]
    return found + [f"| {result['part']} | {row['what']} | {row['result']} |" for row in result["rows"]]


def write(results: list[dict[str, Any]], options: argparse.Namespace) -> None:
    """Write gpu.md and gpu.json, each whole."""
    card = next((row["card"] for result in results for row in result["rows"] if "card" in row), options.device)
    command = shlex.join(["python", "benchmarks/gpu.py", *options.arguments])
    about = f"{time.strftime('%Y-%m-%d')}, commit {options.commit}: `{command}`"
    if options.tiny:
        about += "\n\n**Tiny sizes: it shows that it runs, not how fast.**"
    table = ["| | what | result |", "| --- | --- | --- |", *(line for result in results for line in lines(result))]
    everything = {"card": card, "command": command, "commit": options.commit, "tiny": options.tiny, "parts": results}
    texts = {
        "gpu.md": f"### {card}\n\n{about}\n\n" + "\n".join(table) + "\n",
        "gpu.json": json.dumps(everything, indent=1),
    }
    for name, text in texts.items():
        unfinished = options.output / f"{name}.unfinished"
        unfinished.write_text(text, encoding="utf-8")
        unfinished.replace(options.output / name)


def commit() -> str:
    """The commit of this code, as far as git knows."""
    with contextlib.suppress(OSError):
        found = subprocess.run(["git", "describe", "--always", "--dirty"], cwd=HERE, capture_output=True, text=True)
        return found.stdout.strip() or "not known"
    return "not known"


def main(arguments: list[str] | None = None) -> None:
    """Measure, write, print."""
    options = parse(arguments)
    options.arguments = sys.argv[1:] if arguments is None else arguments
    os.environ.setdefault("CUDA_VISIBLE_DEVICES", "0")  # one card, also where there are more
    os.environ.setdefault("HF_HUB_OFFLINE", "1")
    os.environ["PYTHONPATH"] = os.pathsep.join([str(ROOT), str(HERE), *filter(None, [os.environ.get("PYTHONPATH")])])
    sys.path[:0] = [str(ROOT)]
    check_device(options.device)
    options.output = options.output.resolve()
    options.output.mkdir(parents=True, exist_ok=True)
    (options.output / "gpu.log").write_bytes(b"")
    options.commit = commit()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # so that the part at work ends, and its rows are kept
    with tempfile.TemporaryDirectory(prefix="gpu_") as work:
        options.work = Path(work)
        measure([part for part in PARTS if part.name in options.parts], options)
    print(f"\nSaved in {options.output}")


if __name__ == "__main__":
    main()
