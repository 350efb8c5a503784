"""What a step is on this device: `gpu.py`'s parts a (the card), c (speed) and h (where the time goes)."""

from __future__ import annotations

import importlib.metadata
import platform
import subprocess
import time
from argparse import Namespace
from collections.abc import Iterator
from itertools import product
from typing import Any

import torch
from isolated import Row, attempt, row
from lightning_clock import time_steps
from profile_step import STEPS, milliseconds_by_name, record
from token_data import TokenData, new_module, random_data

from lightning_nlp.training.hardware import device_name
from lightning_nlp.training.peaks import peak_flops
from lightning_nlp.training.precision import float32_products


def machine(options: Namespace) -> Iterator[Row]:
    """The card and the versions; the measured peak of a bf16 matrix product."""
    card = device_name("gpu" if options.device == "cuda" else "cpu")
    if options.device == "cuda":
        properties = torch.cuda.get_device_properties(0)
        card += f", {properties.total_memory / 2**30:.1f} GiB, compute capability {properties.major}.{properties.minor}"
        card += f", driver {driver()}, CUDA {torch.version.cuda}, cuDNN {torch.backends.cudnn.version()}"
    names = ("lightning", "transformers", "tokenizers", "datasets")
    versions = ", ".join(
        [f"torch {torch.__version__}", *(f"{name} {importlib.metadata.version(name)}" for name in names)]
    )
    yield row("machine", f"{card}; Python {platform.python_version()}, {versions}", card=card)
    size = product_size(options)
    measured, sheet = bf16_product(options.device, size), peak_flops(torch.device(options.device), "bf16-mixed")
    text = f"{measured / 1e12:,.3g} TFLOP/s"
    if options.device == "cuda":
        text += f", {measured / sheet:.0%} of the data sheet's {sheet / 1e12:,.0f}" if sheet else ", not in the table"
    yield row(f"bf16 product of {size} x {size}", text, flops_per_s=measured, data_sheet=sheet)


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
    wait = torch.cuda.synchronize if device == "cuda" else lambda: None
    for _ in range(6):  # the first is warm-up
        wait()
        begin = time.perf_counter()
        for _ in range(repeats):
            torch.mm(one, other, out=out)
        wait()
        seconds.append((time.perf_counter() - begin) / repeats)
    return 2 * size**3 / min(seconds[1:])


def product_size(options: Namespace) -> int:
    """Rows and columns of the measured product."""
    return 256 if options.tiny else 8192 if options.device == "cuda" else 2048


def speed(options: Namespace) -> Iterator[Row]:
    """Tokens a second, MFU and memory of both tasks, at lengths and tokens a step; compiled too, on a card."""
    lengths, tokens = ((16, 32), (64, 128)) if options.tiny else ((128, 512), (8192, 65536))
    peak = bf16_product(options.device, product_size(options))
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
    """Some steps under Lightning's Trainer, by the yardstick of all benchmarks."""
    warmup, steps = (5, 40 if tokens <= 8192 else 15) if options.device == "cuda" else (1, 2)
    if options.device == "cuda":
        torch.cuda.reset_peak_memory_stats()
    module, data = distilbert_on_random_tokens(task, length, tokens, warmup + steps, options)
    if compiled:  # where it is, so that its weights keep their names; the warm-up takes what that takes
        module.network.compile()
    with float32_products("high"):  # as the command line does
        found = time_steps(module, data, options.device, warmup)
    flops, memory = found["flops"] / found["seconds"], found["peak_memory"] / 2**30
    sheet = peak_flops(torch.device(options.device), found["precision"])
    text = f"{found['tokens'] / found['seconds']:,.0f} tokens/s, MFU {f'{flops / sheet:.1%}' if sheet else 'not known'}"
    text += f" ({flops / measured_peak:.1%} of the measured bf16 product), {memory:.2f} GiB"
    text += f", {1000 * found['seconds'] / steps:,.1f} ms a step, {'packed' if found['packs'] else 'padded'}"
    numbers = {name: found[name] for name in ("tokens", "seconds", "flops", "steps", "peak_memory", "precision")}
    return row(what, text, **numbers, peak=sheet, measured_peak=measured_peak, losses=found["losses"][::10])


def distilbert_on_random_tokens(
    task: str, length: int, tokens: int, batches: int, options: Namespace
) -> tuple[Any, TokenData]:
    """A new DistilBERT of 50,000 words, and its data."""
    words, layers, dim = (500, 1, 16) if options.tiny else (50_000, 6, 768)
    return new_module(task, layers, dim), random_data([length] * (tokens // length), words, batches, task)


def profile(options: Namespace) -> Iterator[Row]:
    """The ten largest kernels of a small and a large step, and how long the device waits for the host."""
    for length, tokens in ((16, 128),) if options.tiny else ((128, 32768), (128, 8192)):
        module, data = distilbert_on_random_tokens("mlm", length, tokens, 10 + STEPS, options)
        with float32_products("high"):
            events = record(module, data, options.device)
        if not events:
            raise RuntimeError("the profiler recorded nothing on the device: may CUPTI be used here?")
        spans = [(event.time_range.start, event.time_range.end) for event in events]
        idle = f"{idle_share(spans):.0%} of the time" if options.device == "cuda" else "no device"
        what = f"a step of mlm, texts of {length} tokens, {tokens:,} tokens"
        yield row(f"{what}: the device waits for the host", idle)
        times = milliseconds_by_name(events, options.device)
        total = sum(times.values())
        for name, spent in list(times.items())[:10]:
            short = name if len(name) <= 90 else name[:87] + "..."
            yield row(f"`{short}`", f"{spent:,.3f} ms, {spent / total:.0%}", milliseconds=spent)


def idle_share(busy: list[tuple[float, float]]) -> float:
    """The share of the time from the first beginning to the last end in which nothing ran; what overlaps is one."""
    first = done = min(begin for begin, _ in busy)
    idle = 0.0
    for begin, end in sorted(busy):
        idle += max(0.0, begin - done)
        done = max(done, end)
    return idle / (done - first)
