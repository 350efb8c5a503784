"""Where the milliseconds of a training step go: self time of PyTorch's operations, beside what arithmetic allows.

python benchmarks/profile_step.py --task mlm      # 2,048 tokens of short sentences, DistilBERT 6x768, 50,000 words
python benchmarks/profile_step.py --task cls      # 16 reviews, 6 layers of width 384
"""

from __future__ import annotations

import argparse
from collections import defaultdict
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from agreement import guess
from token_data import make_batch, random_groups
from torch.profiler import ProfilerActivity, profile

from lightning_nlp.models import packing
from lightning_nlp.training.counts import count_batch
from lightning_nlp.training.flops import training_costs, training_flops
from lightning_nlp.training.hardware import device_name
from lightning_nlp.training.peaks import peak_flops
from lightning_nlp.training.precision import default_precision

STEPS = 3
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


def main() -> None:
    """Profile, print a markdown table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--task", choices=("mlm", "cls"), required=True)
    parser.add_argument("--device", choices=("cpu", "cuda"), default="cpu")
    args = parser.parse_args()
    precision = default_precision("gpu" if args.device == "cuda" else "cpu")
    torch.manual_seed(0)
    network, batch = make(args.task, args.device)
    optimizer = torch.optim.AdamW(network.parameters(), lr=1e-5, fused=True)

    def step() -> None:
        F.cross_entropy(*guess(network, batch, torch.bfloat16 if precision == "bf16-mixed" else None)).backward()
        torch.nn.utils.clip_grad_norm_(network.parameters(), 1.0)
        optimizer.step()
        optimizer.zero_grad()

    for _ in range(4):
        step()
    activities = [ProfilerActivity.CPU] + [ProfilerActivity.CUDA] * (args.device == "cuda")
    with profile(activities=activities) as profiler:
        for _ in range(STEPS):
            step()
    costs, peak = training_costs(network), peak_flops(torch.device(args.device), precision)
    flops = None if costs is None else training_flops(costs, count_batch(batch))
    tokens = batch["input_ids"].numel()
    print(f"{args.task}, {tokens:,} tokens, {device_name(args.device)}, {precision}, torch {torch.__version__}\n")
    report(profiler.key_averages(), flops, peak)


def make(task: str, device: str) -> tuple[Any, dict[str, Any]]:
    """A new network in training mode, and a packed batch of random tokens with lifelike lengths."""
    from transformers import AutoModelForMaskedLM, AutoModelForSequenceClassification, DistilBertConfig

    rng = np.random.default_rng(0)
    if task == "mlm":
        drawn = np.clip(rng.gamma(4, 5.3, 1000).astype(int) + 3, 4, 120)
        lengths = drawn[: int((drawn.cumsum() <= 2048).sum())]
        config = DistilBertConfig(vocab_size=50_000, attention_dropout=0.0)
        network = AutoModelForMaskedLM.from_config(config)
    else:
        lengths = np.clip(rng.lognormal(5.4, 0.6, 16).astype(int), 30, 512)
        config = DistilBertConfig(vocab_size=30_522, dim=384, hidden_dim=1536, attention_dropout=0.0)
        network = AutoModelForSequenceClassification.from_config(config)
    lengths = np.sort(lengths)[::-1].tolist()
    (group,) = random_groups(lengths, config.vocab_size, 1, classes=None if task == "mlm" else 2)
    batch = make_batch(*group, packs=True)
    network.to(device).train()
    packing.enable(network)
    return network, {name: x.to(device) if isinstance(x, torch.Tensor) else x for name, x in batch.items()}


def report(events: Any, flops: float | None, peak: float | None) -> None:
    """Print the time of a step by kind of operation, longest first."""
    kind_of = {f"aten::{name}": kind for kind, names in KINDS.items() for name in names}
    times: dict[str, float] = defaultdict(float)
    for event in events:
        # host time on a CPU, kernels' time on a GPU
        spent = event.self_device_time_total if torch.cuda.is_available() else event.self_cpu_time_total
        times[kind_of.get(event.key, "all else")] += spent / STEPS / 1000
    total = sum(times.values())
    print("| | ms a step | share |\n| --- | --- | --- |")
    for kind, milliseconds in sorted(times.items(), key=lambda item: -item[1]):
        print(f"| {kind} | {milliseconds:,.0f} | {milliseconds / total:.0%} |")
    print(f"| **all** | **{total:,.0f}** | |")
    if flops and peak:
        limit = 1000 * flops / peak
        work = f"arithmetic limit: {flops / 1e9:,.0f} GFLOP at {peak / 1e9:,.0f} GFLOP/s"
        print(f"| {work} | {limit:,.0f} | {limit / total:.0%} |")


if __name__ == "__main__":
    main()
