"""Texts a second of `train.py predict` and of `transformers.pipeline`, on the same export and the same texts.

python benchmarks/predict.py --run runs/cls/0 --input reviews.txt      # lines, CSV, TSV or JSONL with a column "text"
python benchmarks/predict.py --quick                                   # a tiny run on generated texts, made first

Both load and warm up before their clock starts. The pipeline runs at batch sizes 1 to 64, and its best counts.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent.resolve()
BATCH_SIZES = (1, 8, 16, 32, 64)
WARM_UP = 16  # texts


def main() -> None:
    """Measure, print, save."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--run", type=Path, help="A run's directory with its export.")
    parser.add_argument("--input", help="Texts, as train.py predict takes them.")
    parser.add_argument("--quick", action="store_true", help="Train a tiny run first, on generated texts.")
    parser.add_argument("--texts", type=int, default=300, help="The first so many texts of the input.")
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--batch-sizes", type=int, nargs="+", default=list(BATCH_SIZES), help="Of the pipeline.")
    parser.add_argument("--dtype", default="float32", help="Of the pipeline's weights, such as bfloat16.")
    parser.add_argument("--output", type=Path, default=HERE / "results" / "predict")
    args = parser.parse_args()
    if not args.quick and not (args.run and args.input):
        parser.error("give --run and --input, or --quick")
    sys.path.insert(0, str(HERE.parent))
    args.output.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="benchmark_") as folder:
        if args.quick:
            args.run, args.input = quick_run(Path(folder))
            args.texts = min(args.texts, 64)
        compare(args)


def compare(args: argparse.Namespace) -> None:
    """Take turns on the texts, and report."""
    from report import spread

    from lightning_nlp.data.texts.normalize import clean_text
    from lightning_nlp.predict.command import input_texts

    config = json.loads((args.run / "export" / "config.json").read_text(encoding="utf-8"))
    fills_masks = config["architectures"][0].endswith("ForMaskedLM")
    texts = [clean_text(text) for _, text in input_texts(args.input, "text")]
    texts = [" ".join(text.split()) for text in texts if text][: args.texts]
    if fills_masks:
        texts = [hide_a_word(text) for text in texts]
    contenders = {f"pipeline, batch {size}": pipeline(args, fills_masks, texts, size) for size in args.batch_sizes}
    contenders["train.py predict"] = ours(args.run, texts)
    speeds: dict[str, list[float]] = {name: [] for name in contenders}
    answers: dict[str, list[str]] = {}
    for _ in range(args.repeats):
        for name, turns in contenders.items():
            seconds, answers[name] = next(turns)
            speeds[name].append(len(texts) / seconds)
    summary = {name: spread(values) for name, values in speeds.items()}
    best = max((name for name in summary if name != "train.py predict"), key=lambda name: summary[name].median)
    agree = sum(x == y for x, y in zip(answers[best], answers["train.py predict"], strict=True)) / len(texts)
    ratio = summary["train.py predict"].median / summary[best].median
    lines = ["| contender | texts/s |", "| --- | --- |"]
    lines += [f"| {name} | {value.text(1)} |" for name, value in summary.items()]
    text = "\n".join(lines) + (
        f"\n\n{len(texts)} texts, {args.repeats} rounds, medians (ranges). train.py predict is {ratio:.2f} times as "
        f"fast as the best pipeline ({best}, {args.dtype}); {100 * agree:.1f}% of the answers are the same.\n"
    )
    print(text)
    (args.output / "results.md").write_text(text, encoding="utf-8")
    facts = {"command": sys.argv, "texts": len(texts), "speeds": speeds, "ratio": ratio, "agree": agree}
    (args.output / "results.json").write_text(json.dumps(facts, indent=1), encoding="utf-8")


def hide_a_word(text: str) -> str:
    """The text with [MASK] for the word in the middle."""
    words = text.split()
    words[len(words) // 2] = "[MASK]"
    return " ".join(words)


def pipeline(
    args: argparse.Namespace, fills_masks: bool, texts: list[str], batch_size: int
) -> Iterator[tuple[float, list[str]]]:
    """Seconds and answers of a pipeline, again and again; it is loaded once."""
    import torch
    from transformers import pipeline as make
    from transformers.utils import logging

    logging.set_verbosity_error()
    task = "fill-mask" if fills_masks else "text-classification"
    device = 0 if torch.cuda.is_available() else -1
    pipe = make(task, str(args.run / "export"), device=device, dtype=getattr(torch, args.dtype))
    settings: dict[str, Any] = {"batch_size": batch_size}
    # the tokenizer's own maximum, which the export keeps from the training
    settings |= {"tokenizer_kwargs": {"truncation": True}} if fills_masks else {"truncation": True}
    pipe(texts[:WARM_UP], **settings)
    while True:
        begin = time.perf_counter()
        records = pipe(texts, **settings)
        seconds = time.perf_counter() - begin
        yield seconds, [record[0]["token_str"] if fills_masks else record["label"] for record in records]


def ours(run: Path, texts: list[str]) -> Iterator[tuple[float, list[str]]]:
    """Seconds and answers of what `train.py predict` loads, at its defaults, again and again."""
    from lightning_nlp import load_predictor
    from lightning_nlp.training.precision import default_precision

    predictor = load_predictor(run / "export", precision=default_precision())
    predictor(texts[:WARM_UP])
    while True:
        begin = time.perf_counter()
        records = predictor(texts)
        seconds = time.perf_counter() - begin
        yield seconds, [r["fillings"][0][0]["token"] if "fillings" in r else r["label"] for r in records]


def quick_run(work: Path) -> tuple[Path, str]:
    """A tiny classifier after a few steps, and generated texts."""
    from lightning_nlp.data.texts.demo import demo_reviews

    sizes = "--model.n_layers 1 --model.n_heads 2 --model.dim 32 --model.hidden_dim 64 --data.vocab_size 500"
    limits = "--trainer.max_steps 4 --data.max_train_samples 200 --data.max_val_samples 32 --data.max_test_samples 32"
    quiet = f"--trainer.logger false --trainer.enable_progress_bar false --data.cache_dir {work}/cache"
    command = [sys.executable, HERE.parent / "train.py", "fit", "--config", HERE.parent / "configs" / "quickstart.yaml"]
    command += [*sizes.split(), *limits.split(), *quiet.split(), "--runs_dir", work / "runs"]
    result = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True)
    texts = work / "demo.txt"
    lines = (" ".join(text.replace("<br />", " ").split()) for text, _ in demo_reviews(64, seed=7))
    texts.write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")
    return Path(result.stdout.splitlines()[-1]), str(texts)


if __name__ == "__main__":
    main()
