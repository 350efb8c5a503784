"""Whole trainings on this device, through the command line: `gpu.py`'s parts d to f."""

from __future__ import annotations

import contextlib
import csv
import importlib.util
import io
import json
import os
import re
import signal
import subprocess
import sys
import time
from argparse import Namespace
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch
from isolated import LeftOut, Row, attempt, row
from lightning import Callback
from report import NAMES

HERE = Path(__file__).parent.resolve()
ROOT = HERE.parent
TINY = "--model.n_layers 1 --model.n_heads 2 --model.dim 16 --model.hidden_dim 32".split()
FEW = "--data.max_train_samples 96 --data.max_val_samples 32 --data.max_test_samples 32".split()


def hf_trainer(options: Namespace) -> Iterator[Row]:
    """`vs_trainer.py`: ours, and the HF Trainer with its best flags, by an expert, and as the recipe has it."""
    if importlib.util.find_spec("accelerate") is None:
        raise LeftOut("the HF Trainer needs accelerate: pip install -r benchmarks/requirements.txt")
    tasks = (("mlm", options.sentences, 4000), ("cls", options.imdb, 1000))
    for task, texts, number in tasks[:1] if options.tiny else tasks:
        arguments = ["--task", task, "--device", options.device, "--repeats", "1", "--contenders", "dbca"]
        arguments += ["--one-process"]
        if options.tiny:
            arguments[-2] = "db"
            arguments += ["--quick", "--texts", "100", "--threads", "1"]
        else:
            arguments += ["--texts", str(number), "--heldout", "200", "--warmup", "5", "--recipe-steps", "30"]
            arguments += ["--path", str(texts)] if texts else []
            arguments += ["--model", options.pretrained] if task == "cls" and options.pretrained else []
        yield from versus(task if texts and not options.tiny else f"{task}, demo texts", arguments, options)


def versus(what: str, arguments: list[str], options: Namespace) -> Iterator[Row]:
    """Each contender's speed as it comes, ours first."""
    command = [sys.executable, str(HERE / "vs_trainer.py"), *arguments, "--output", str(options.work / what)]
    ours, last = 0.0, ""
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True) as process:
        assert process.stdout is not None
        for line in process.stdout:
            print(line, end="", flush=True)
            last = line.strip() or last
            found = re.fullmatch(r"round 1, (\w): ([\d,]+) tokens/s in (\d+) steps", last)
            if found and line.strip():
                contender, value = found[1], float(found[2].replace(",", ""))
                ours = ours or value
                ratio = "" if contender == "d" else f"; d / {contender} {ours / value:.2f}"
                yield row(f"{what}, {contender}. {NAMES[contender]}", last.split(": ")[1] + ratio, tokens_per_s=value)
    if process.returncode:
        yield row(f"{what}, vs_trainer.py", f"**failed**: {last[:300]}", failed=True)


def imdb(options: Namespace) -> Iterator[Row]:
    """Two epochs of IMDB in large steps, from the command to the accuracy on test."""
    if options.imdb is None:
        raise LeftOut("no data: give --imdb the folder with IMDB's parquet files, or the aclImdb tree")
    arguments = ["--config", str(ROOT / "configs" / "cls.yaml"), "--data.path", str(options.imdb)]
    arguments += ["--trainer.max_epochs", "2"]
    if options.tiny:
        arguments += ["--model.pretrained", "null", *TINY, *FEW, "--data.max_length", "32"]
    elif options.pretrained:
        arguments += ["--model.pretrained", options.pretrained]
    large = "--data.tokens_per_batch 32768 --model.lr 5e-5"  # steps of 4,096 tokens would be bound by the host
    arguments = fit_arguments("imdb", [*arguments, *large.split()], options)
    what = f"cls.yaml, two epochs, {large}"
    yield attempt(what, lambda: whole_training(what, arguments))


def whole_training(what: str, arguments: list[str]) -> Row:
    """A `fit`, its test and its export, without Python's imports."""
    if torch.cuda.is_initialized():
        torch.cuda.reset_peak_memory_stats()
    begin = time.perf_counter()
    run = Path(command(arguments).splitlines()[-1])
    seconds, facts = time.perf_counter() - begin, json.loads((run / "facts.json").read_text(encoding="utf-8"))
    text = f"accuracy {facts['test']['test/accuracy']:.4f} on test after {seconds:.1f} s in all, "
    text += f"{facts['seconds']:.1f} s until the last step; {facts['steps']:,} steps, "
    text += f"{facts['tokens_per_s']:,.0f} tokens/s, " if facts["tokens_per_s"] else ""
    text += f"{facts['peak_memory_gib']:.2f} GiB"
    return row(what, text, all_seconds=seconds, facts=facts)


def fit_arguments(name: str, arguments: list[str], options: Namespace) -> list[str]:
    """A `fit` without W&B, whose files go to the scratch folder."""
    accelerator = "gpu" if options.device == "cuda" else "cpu"
    common = ["--trainer.accelerator", accelerator, "--trainer.logger", "false"]
    common += ["--trainer.enable_progress_bar", "false", "--name", name]
    common += ["--runs_dir", str(options.work / "runs"), "--data.cache_dir", str(options.work / "cache")]
    return ["fit", *arguments, *common]


def command(arguments: list[str], expected: int = 0) -> str:
    """Run one of `train.py`'s commands in this process; returns what it printed, or raises for another exit code."""
    from lightning_nlp.cli.main import main

    out, err, code = io.StringIO(), io.StringIO(), 0
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        try:
            main(arguments)
        except SystemExit as stop:
            code = int(stop.code or 0)
    print(out.getvalue(), err.getvalue(), flush=True)
    if code != expected:
        last = (err.getvalue().strip().splitlines() or ["it said nothing"])[-1][:300]
        raise RuntimeError(f"exit code {code} of train.py {arguments[0]}: {last}")
    return out.getvalue()


def quickstart(name: str, arguments: list[str], options: Namespace, expected: int = 0) -> Path:
    """Train quickstart.yaml; returns the run's directory."""
    small = [*TINY, *FEW, "--data.batch_size", "16"] if options.tiny else []
    config = ["--config", str(ROOT / "configs" / "quickstart.yaml"), *small]
    command(fit_arguments(name, [*config, *arguments], options), expected)
    return options.work / "runs" / name / "0"


class StopAt(Callback):
    """Sends SIGTERM after a step, as a scheduler would."""

    def __init__(self, step: int) -> None:
        self.step = step

    def on_train_batch_end(self, trainer: Any, pl_module: Any, outputs: Any, batch: Any, batch_idx: int) -> None:
        """Send it."""
        if trainer.global_step == self.step:
            os.kill(os.getpid(), signal.SIGTERM)


def exactness(options: Namespace, deterministic: str = "false") -> Iterator[Row]:
    """The same seed twice, and a training that was stopped and resumed against one in one go."""
    steps, stop = (10, 4) if options.tiny else (60, 20)  # in the second epoch, and within the first
    stopper = json.dumps([{"class_path": "gpu_trainings.StopAt", "init_args": {"step": stop}}])
    how = f"--trainer.deterministic {deterministic}"
    settings = [*how.split(), "--trainer.max_steps", str(steps), "--trainer.log_every_n_steps", "1"]
    if not options.tiny:
        settings += "--data.max_train_samples 1000 --data.max_val_samples 200 --data.max_test_samples 200".split()
    one, other, parts = (f"{name}_{deterministic}" for name in ("one", "other", "parts"))

    def twice() -> Row:
        runs = [quickstart(name, settings, options) for name in (one, other)]
        return row(what, difference(*runs))

    what = f"{steps} steps twice with one seed, {how}"
    yield attempt(what, twice)

    def resumed() -> Row:
        quickstart(parts, [*settings, "--trainer.callbacks", stopper], options, expected=128 + signal.SIGTERM)
        run = quickstart(parts, [*settings, "--ckpt_path", "last"], options)
        return row(what, difference(options.work / "runs" / one / "0", run))

    what = f"stopped after {stop} steps and resumed, against {steps} in one go, {how}"
    yield attempt(what, resumed)


def exactness_deterministic(options: Namespace) -> Iterator[Row]:
    """The same with deterministic algorithms, in a process that has computed nothing yet: cuBLAS chooses once."""
    yield from exactness(options, "true")


def difference(one: Path, other: Path) -> str:
    """Whether two runs have the same weights and moments in the end, to the last bit."""
    states = [checkpoint_tensors(run) for run in (one, other)]
    if states[0].keys() == states[1].keys() and all(torch.equal(states[0][key], states[1][key]) for key in states[0]):
        return "the same bits"
    gaps = [float((states[0][key].float() - states[1][key].float()).abs().max()) for key in states[0]]
    losses = [[line["train/loss"] for line in metrics(run) if line["train/loss"]] for run in (one, other)]
    first = next((i + 1 for i, pair in enumerate(zip(*losses, strict=False)) if pair[0] != pair[1]), None)
    logged = "no logged loss differs" if first is None else f"logged losses differ from number {first} on"
    return f"**not** the same bits: weights and moments up to {max(gaps):.1e} apart, {logged}"


def checkpoint_tensors(run: Path) -> dict[str, torch.Tensor]:
    """Weights and the optimizer's moments."""
    checkpoint = torch.load(run / "checkpoints" / "last.ckpt", weights_only=True, map_location="cpu")
    moments = checkpoint["optimizer_states"][0]["state"]
    return checkpoint["state_dict"] | {f"{i}/{name}": value for i in moments for name, value in moments[i].items()}


def metrics(run: Path) -> list[dict[str, str]]:
    """The rows of metrics.csv."""
    with (run / "metrics.csv").open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))
