"""Where the milliseconds of a training step go: self time of PyTorch's operations, beside what arithmetic allows.

python benchmarks/profile_step.py --task mlm      # 2,048 tokens of short sentences, DistilBERT 6x768, 50,000 words
python benchmarks/profile_step.py --task cls      # 16 reviews, 6 layers of width 384
"""

from __future__ import annotations

import argparse
import contextlib
from collections import defaultdict
from typing import Any

import numpy as np
import torch
from lightning import Callback
from lightning_clock import Done
from token_data import TokenData, new_module, random_data, train
from torch.autograd import DeviceType
from torch.profiler import ProfilerActivity

from lightning_nlp.training.counts import count_batch
from lightning_nlp.training.flops import training_costs, training_flops
from lightning_nlp.training.hardware import device_name
from lightning_nlp.training.peaks import peak_flops
from lightning_nlp.training.precision import default_precision

STEPS = 3  # that are recorded
KINDS = {
    "matrix products of the layers and the head": ("mm", "addmm"),
    "attention": ("bmm", "baddbmm", "_softmax", "_softmax_backward_data", "_scaled_dot_product_flash_attention_for_cpu",
                  "_scaled_dot_product_flash_attention_for_cpu_backward", "_flash_attention_forward",
                  "_flash_attention_backward"),
    "copies, casts to and from bf16": ("copy_", "cat", "index_select", "index_add_", "_to_copy"),
    "zeros for new gradients": ("fill_", "zero_"),
    "dropout": ("bernoulli_", "native_dropout", "native_dropout_backward", "div_"),
    "activations and norms": ("gelu", "gelu_backward", "native_layer_norm", "native_layer_norm_backward"),
    "the loss": ("_log_softmax", "_log_softmax_backward_data", "nll_loss_forward", "nll_loss_backward"),
    "AdamW": ("_fused_adamw_",),
    "clipping": ("linalg_vector_norm", "_foreach_norm", "_foreach_mul_"),
}  # fmt: skip


class Recorder(Callback):
    """Records some steps after others: kernels on a card, PyTorch's operations on a CPU."""

    def __init__(self, device: str, warmup: int) -> None:
        self.device = device
        self.warmup = warmup
        # on a card, to record the host's operations too would slow the host down, and the device would wait for it
        activity = ProfilerActivity.CUDA if device == "cuda" else ProfilerActivity.CPU
        self.profiler = torch.profiler.profile(activities=[activity])

    def on_train_batch_end(self, trainer: Any, pl_module: Any, outputs: Any, batch: Any, batch_idx: int) -> None:
        """Begin after the warm-up, and end the training when all is recorded."""
        if batch_idx + 1 in (self.warmup, self.warmup + STEPS) and self.device == "cuda":
            torch.cuda.synchronize()
        if batch_idx + 1 == self.warmup:
            self.profiler.start()
        elif batch_idx + 1 == self.warmup + STEPS:
            self.profiler.stop()
            raise Done


def record(module: Any, data: TokenData, device: str) -> list[Any]:
    """What the device does in the last of the data's steps, without ranges that PyTorch marks around kernels."""
    recorder = Recorder(device, data.train_batches - STEPS)
    with contextlib.suppress(Done):
        train(module, data, recorder, device=device)
    kind = DeviceType.CUDA if device == "cuda" else DeviceType.CPU
    return [e for e in recorder.profiler.events() if e.device_type == kind and not e.is_user_annotation]


def milliseconds_by_name(events: list[Any], device: str) -> dict[str, float]:
    """Each operation's or kernel's own time a step, longest first."""
    times: dict[str, float] = defaultdict(float)
    for event in events:
        spent = event.time_range.elapsed_us() if device == "cuda" else event.self_cpu_time_total
        times[event.name] += spent / 1000 / STEPS
    return dict(sorted(times.items(), key=lambda item: -item[1]))


def main() -> None:
    """Profile, print a markdown table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--task", choices=("mlm", "cls"), required=True)
    parser.add_argument("--tiny", action="store_true", help="One layer of width 16: shows that it runs.")
    args = parser.parse_args()
    rng = np.random.default_rng(0)
    if args.task == "mlm":
        drawn = np.clip(rng.gamma(4, 5.3, 1000).astype(int) + 3, 4, 120)
        lengths, words, dim = drawn[: int((drawn.cumsum() <= 2048).sum())], 50_000, 768
    else:
        lengths, words, dim = np.clip(rng.lognormal(5.4, 0.6, 16).astype(int), 30, 512), 30_522, 384
    layers, dim, words = (1, 16, 500) if args.tiny else (6, dim, words)
    data = random_data(np.sort(lengths)[::-1].tolist(), words, 4 + STEPS, args.task)
    module = new_module(args.task, layers, dim)
    times: dict[str, float] = defaultdict(float)
    kind_of = {f"aten::{name}": kind for kind, names in KINDS.items() for name in names}
    for name, milliseconds in milliseconds_by_name(record(module, data, "cpu"), "cpu").items():
        times[kind_of.get(name, "all else")] += milliseconds
    precision, total = default_precision("cpu"), sum(times.values())
    costs, peak = training_costs(module.network), peak_flops(torch.device("cpu"), precision)
    tokens = int(sum(lengths))
    print(f"{args.task}, {tokens:,} tokens, {device_name('cpu')}, {precision}, torch {torch.__version__}\n")
    print("| | ms a step | share |\n| --- | --- | --- |")
    for kind, milliseconds in sorted(times.items(), key=lambda item: -item[1]):
        print(f"| {kind} | {milliseconds:,.0f} | {milliseconds / total:.0%} |")
    print(f"| **all** | **{total:,.0f}** | |")
    if costs is not None and peak:
        flops = training_flops(costs, count_batch(next(iter(data.train_dataloader()))))
        work = f"arithmetic limit: {flops / 1e9:,.0f} GFLOP at {peak / 1e9:,.0f} GFLOP/s"
        print(f"| {work} | {1000 * flops / peak:,.0f} | {1000 * flops / peak / total:.0%} |")


if __name__ == "__main__":
    main()
