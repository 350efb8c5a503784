"""What a step is on this device: `gpu.py`'s parts a (the card), c (speed) and h (where the time goes)."""

from __future__ import annotations

import contextlib
import importlib.metadata
import json
import platform
import subprocess
import tempfile
import time
from argparse import Namespace
from collections.abc import Iterable, Iterator
from itertools import product
from pathlib import Path
from typing import Any

import torch
from isolated import Row, attempt, row
from lightning import Callback
from lightning_clock import Clock, Done
from token_data import TokenData, Vocabulary, random_groups, train

from lightning_nlp.models.classification import SequenceClassifier
from lightning_nlp.models.mlm import MaskedLanguageModel
from lightning_nlp.training.hardware import device_name
from lightning_nlp.training.peaks import peak_flops
from lightning_nlp.training.precision import float32_products

DISTILBERT = {"n_layers": 6, "n_heads": 12, "dim": 768, "hidden_dim": 3072}
TINY = {"n_layers": 1, "n_heads": 2, "dim": 16, "hidden_dim": 32}
PROFILED = 3  # steps


def machine(options: Namespace) -> Iterator[Row]:
    """The card and the versions; the measured peak of a bf16 matrix product."""
    card = device_name("gpu" if options.device == "cuda" else "cpu")
    if options.device == "cuda":
        properties = torch.cuda.get_device_properties(0)
        card += f", {properties.total_memory / 2**30:.1f} GiB, compute capability {properties.major}.{properties.minor}"
        card += f", driver {driver()}, CUDA {torch.version.cuda}, cuDNN {torch.backends.cudnn.version()}"
    names = ("lightning", "transformers", "tokenizers", "datasets")
    versions = ", ".join([f"torch {torch.__version__}", *(f"{name} {version(name)}" for name in names)])
    yield row("machine", f"{card}; Python {platform.python_version()}, {versions}", card=card)
    size = 256 if options.tiny else 8192 if options.device == "cuda" else 2048
    measured, sheet = bf16_product(options.device, size), peak_flops(torch.device(options.device), "bf16-mixed")
    text = f"{measured / 1e12:,.3g} TFLOP/s"
    if options.device == "cuda":
        text += f", {measured / sheet:.0%} of the data sheet's {sheet / 1e12:,.0f}" if sheet else ", not in the table"
    yield row(f"bf16 product of {size} x {size}", text, flops_per_s=measured, data_sheet=sheet)


def version(package: str) -> str:
    """The version of a package, which may be missing."""
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return "missing"


def driver() -> str:
    """The driver's version, as nvidia-smi has it."""
    command = ["nvidia-smi", "--query-gpu=driver_version", "--format=csv,noheader", "--id=0"]
    try:
        return subprocess.run(command, capture_output=True, text=True, timeout=20, check=True).stdout.strip()
    except (OSError, subprocess.SubprocessError):
        return "not known"


def bf16_product(device: str, size: int) -> float:
    """FLOP/s of the fastest of five runs of products of random matrices."""
    one, other = (torch.randn(size, size, device=device, dtype=torch.bfloat16) for _ in range(2))
    out, repeats, seconds = torch.empty_like(one), 20 if device == "cuda" else 1, []
    for _ in range(6):  # the first is warm-up
        wait_for(device)
        begin = time.perf_counter()
        for _ in range(repeats):
            torch.mm(one, other, out=out)
        wait_for(device)
        seconds.append((time.perf_counter() - begin) / repeats)
    return 2 * size**3 / min(seconds[1:])


def wait_for(device: str) -> None:
    """Until the device has done what it was given."""
    if device == "cuda":
        torch.cuda.synchronize()


def speed(options: Namespace) -> Iterator[Row]:
    """Tokens a second, MFU and memory of both tasks, at lengths and tokens a step; compiled too, on a card."""
    lengths, tokens = ((16, 32), (64, 128)) if options.tiny else ((128, 512), (8192, 65536))
    peak = bf16_product(options.device, 256 if options.tiny else 8192 if options.device == "cuda" else 2048)
    sizes = [(task, lengths[0], number, False) for task, number in product(("mlm", "cls"), tokens)]
    if options.device == "cuda":
        sizes += [(task, lengths[0], tokens[1], True) for task in ("mlm", "cls")]
    sizes += [(task, lengths[1], tokens[1], False) for task in ("mlm", "cls")]
    for task, length, number, compiled in sizes:
        what = f"{task}, texts of {length} tokens, {number:,} tokens a step{', torch.compile' if compiled else ''}"
        yield attempt(what, lambda: one_speed(what, task, length, number, peak, options, compiled))  # noqa: B023


def one_speed(
    what: str, task: str, length: int, tokens: int, measured_peak: float, options: Namespace, compiled: bool
) -> Row:
    """A window of steps under Lightning's Trainer, by the yardstick of all benchmarks."""
    on_card = options.device == "cuda"
    warmup, steps = (5, 40 if tokens <= 8192 else 15) if on_card else (1, 2)
    if on_card:
        torch.cuda.reset_peak_memory_stats()
    with tempfile.TemporaryDirectory() as folder:
        job, result = Path(folder) / "job.json", Path(folder) / "result.json"
        settings = {"contender": "d", "device": options.device, "warmup": warmup, "steps": steps, "until": None}
        job.write_text(json.dumps(settings | {"result": str(result)}), encoding="utf-8")
        with contextlib.suppress(Done):
            clock = (CompilingClock if compiled else Clock)(str(job))
            train_on_random_tokens(clock, task, length, tokens, warmup + steps, options)
        found = json.loads(result.read_text(encoding="utf-8"))
    flops, memory = found["flops"] / found["seconds"], found["peak_memory"] / 2**30
    sheet = peak_flops(torch.device(options.device), found["precision"])
    text = f"{found['tokens'] / found['seconds']:,.0f} tokens/s, MFU {f'{flops / sheet:.1%}' if sheet else 'not known'}"
    text += f" ({flops / measured_peak:.1%} of the measured bf16 product), {memory:.2f} GiB"
    text += f", {1000 * found['seconds'] / steps:,.1f} ms a step, {'packed' if found['packs'] else 'padded'}"
    numbers = {name: found[name] for name in ("tokens", "seconds", "flops", "steps", "peak_memory", "precision")}
    return row(what, text, **numbers, peak=sheet, measured_peak=measured_peak, losses=found["losses"][::10])


class CompilingClock(Clock):
    """Compiles the network before its first step; the warm-up takes what that takes."""

    def on_train_start(self, trainer: Any, pl_module: Any) -> None:
        """Compile it where it is, so that its weights keep their names."""
        pl_module.network.compile()
        super().on_train_start(trainer, pl_module)


def train_on_random_tokens(
    callback: Any, task: str, length: int, tokens: int, batches: int, options: Namespace
) -> None:
    """Train a new DistilBERT, 50,000 words, until the callback has enough."""
    words, sizes = (500, TINY) if options.tiny else (50_000, DISTILBERT)
    classes = None if task == "mlm" else 2
    settings: dict[str, Any] = {**sizes, "schedule": "constant", "warmup_ratio": 0.0}
    module: Any = SequenceClassifier(**settings)
    if task == "mlm":
        module = MaskedLanguageModel(**settings, max_position_embeddings=512)
    data = TokenData(
        random_groups([length] * (tokens // length), words, batches, classes=classes),
        tokenizer=Vocabulary(words),
        max_length=length,
        label_names=["neg", "pos"],
    )
    with float32_products("high"):  # as the command line does
        train(module, data, callback, device=options.device)


def profile(options: Namespace) -> Iterator[Row]:
    """The ten largest kernels of a small and a large step, and how long the device waits for the host."""
    yield from profiled("mlm", 16, 128, options) if options.tiny else profiled("mlm", 128, 32768, options)
    if not options.tiny:
        yield from profiled("mlm", 128, 8192, options)


def profiled(task: str, length: int, tokens: int, options: Namespace) -> Iterator[Row]:
    """One step's kernels, by the means of some."""
    recorder = Recorder(options.device, warmup=2 if options.tiny else 10)
    with contextlib.suppress(Done):
        train_on_random_tokens(recorder, task, length, tokens, recorder.warmup + PROFILED, options)
    what, events = f"a step of {task}, texts of {length} tokens, {tokens:,} tokens", recorder.events()
    if not events:
        raise RuntimeError("the profiler recorded nothing on the device: may CUPTI be used here?")
    if options.device == "cuda":
        yield row(f"{what}: the device waits for the host", f"{idle_share(spans(events)):.0%} of the time")
    else:
        yield row(f"{what}: the device waits for the host", "no device")
    times: dict[str, float] = {}
    for event in events:
        spent = event.self_cpu_time_total if options.device == "cpu" else event.time_range.elapsed_us()
        times[event.name] = times.get(event.name, 0.0) + spent / 1000 / PROFILED
    total = sum(times.values())
    for name in sorted(times, key=times.__getitem__, reverse=True)[:10]:
        short = name if len(name) <= 90 else name[:87] + "..."
        yield row(f"`{short}`", f"{times[name]:,.3f} ms, {times[name] / total:.0%}", milliseconds=times[name])


class Recorder(Callback):
    """Records some steps after others: kernels on a card, PyTorch's operations on a CPU.

    Args:
        device: "cpu" or "cuda".
        warmup: Steps before the first that is recorded.
    """

    def __init__(self, device: str, warmup: int) -> None:
        from torch.profiler import ProfilerActivity

        self.device = device
        self.warmup = warmup
        # the host's operations would be recorded at the price of a slower host, which the device would wait for
        activity = ProfilerActivity.CUDA if device == "cuda" else ProfilerActivity.CPU
        self.profiler = torch.profiler.profile(activities=[activity])

    def on_train_batch_end(self, trainer: Any, pl_module: Any, outputs: Any, batch: Any, batch_idx: int) -> None:
        """Begin after the warm-up, and end the training when all is recorded."""
        if batch_idx + 1 == self.warmup:
            wait_for(self.device)
            self.profiler.start()
        elif batch_idx + 1 == self.warmup + PROFILED:
            wait_for(self.device)
            self.profiler.stop()
            raise Done

    def events(self) -> list[Any]:
        """What was recorded on the device, without the ranges that PyTorch marks around several kernels."""
        from torch.autograd import DeviceType

        kind = DeviceType.CUDA if self.device == "cuda" else DeviceType.CPU
        return [e for e in self.profiler.events() if e.device_type == kind and not e.is_user_annotation]


def spans(events: Iterable[Any]) -> list[tuple[float, float]]:
    """When each event began and ended."""
    return [(event.time_range.start, event.time_range.end) for event in events]


def idle_share(busy: list[tuple[float, float]]) -> float:
    """The share of the time from the first beginning to the last end in which nothing ran; what overlaps counts once.

    Args:
        busy: When each kernel began and ended.
    """
    first = done = min(begin for begin, _ in busy)
    idle = 0.0
    for begin, end in sorted(busy):
        idle += max(0.0, begin - done)
        done = max(done, end)
    return idle / (done - first)
