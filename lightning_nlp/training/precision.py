"""The precision that suits a machine."""

from collections.abc import Iterator
from contextlib import contextmanager

import torch


def default_precision(accelerator: str = "auto") -> str:
    """`bf16-mixed` where the hardware multiplies bfloat16 natively, else `32-true`.

    A CPU without AVX512-BF16 or AMX (or with ATEN_CPU_CAPABILITY=avx2) is slower in bfloat16 than in float32.
    """
    if accelerator in ("auto", "gpu", "cuda") and torch.cuda.is_available():
        return "bf16-mixed" if torch.cuda.is_bf16_supported(including_emulation=False) else "32-true"
    if accelerator in ("auto", "gpu", "mps") and torch.backends.mps.is_available():
        return "32-true"
    return "bf16-mixed" if _cpu_has_bf16() else "32-true"


def _cpu_has_bf16() -> bool:
    # private, but nothing public provides this; float32 is a safe fallback if these disappear
    questions = [getattr(torch.cpu, f"_is_{units}_supported", None) for units in ("avx512_bf16", "amx_tile")]
    capability = torch.backends.cpu.get_cpu_capability()  # perhaps less than the CPU supports
    return capability not in ("DEFAULT", "AVX2") and any(question and question() for question in questions)


@contextmanager
def float32_products(precision: str) -> Iterator[None]:
    """Set torch.set_float32_matmul_precision in this context: "highest", or "high" (TF32 on a GPU)."""
    before = torch.get_float32_matmul_precision()
    torch.set_float32_matmul_precision(precision)
    try:
        yield
    finally:
        torch.set_float32_matmul_precision(before)
