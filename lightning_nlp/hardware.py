"""What the machine can do: the one place that decides the precision."""

from __future__ import annotations

import torch


def default_precision(accelerator: str = "auto") -> str:
    """`bf16-mixed` where the hardware multiplies bfloat16 natively, else `32-true`.

    A CPU without AVX512-BF16 or AMX emulates bfloat16 and is slower with it than in float32.

    Args:
        accelerator: Lightning's `trainer.accelerator`.

    Returns:
        A value for Lightning's `trainer.precision`.
    """
    if accelerator in ("auto", "gpu", "cuda") and torch.cuda.is_available():
        return "bf16-mixed" if torch.cuda.is_bf16_supported(including_emulation=False) else "32-true"
    if accelerator in ("auto", "gpu", "mps") and torch.backends.mps.is_available():
        return "32-true"
    return "bf16-mixed" if _cpu_has_bf16() else "32-true"


def _cpu_has_bf16() -> bool:
    # Private, but there is no public question for it; without the answer float32 is the safe side.
    question = getattr(torch.cpu, "_is_avx512_bf16_supported", None)
    amx = getattr(torch.cpu, "_is_amx_tile_supported", None)
    return bool(question and question()) or bool(amx and amx())


def device_name(accelerator: str = "auto") -> str:
    """A GPU's name, or the number of CPU threads that PyTorch uses."""
    if accelerator in ("auto", "gpu", "cuda") and torch.cuda.is_available():
        return torch.cuda.get_device_name()
    if accelerator in ("auto", "gpu", "mps") and torch.backends.mps.is_available():
        return "Apple GPU"
    threads = torch.get_num_threads()
    return f"CPU, {threads} thread{'' if threads == 1 else 's'}"
