"""The machine: which precision suits it, its name and its memory."""

import os
import sys

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
    # private, but nothing public tells; float32 is safe if these go
    questions = [getattr(torch.cpu, f"_is_{units}_supported", None) for units in ("avx512_bf16", "amx_tile")]
    used = torch.backends.cpu.get_cpu_capability()  # perhaps less than the CPU has
    return used not in ("DEFAULT", "AVX2") and any(question and question() for question in questions)


def device_name(accelerator: str = "auto") -> str:
    """A GPU's name, or the number of CPU threads that PyTorch uses."""
    if accelerator in ("auto", "gpu", "cuda") and torch.cuda.is_available():
        return torch.cuda.get_device_name()
    if accelerator in ("auto", "gpu", "mps") and torch.backends.mps.is_available():
        return "Apple GPU"
    threads = torch.get_num_threads()
    return f"CPU, {threads} thread{'' if threads == 1 else 's'}"


def memory_gib(device: torch.device) -> float | None:
    """The memory of a GPU, or for any other device that of the machine, in GiB; None if unknown."""
    if device.type == "cuda":
        return torch.cuda.get_device_properties(device).total_memory / 2**30
    if not hasattr(os, "sysconf"):  # Windows
        return None
    return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") / 2**30


def peak_memory_gib(device: torch.device) -> float | None:
    """The most memory used so far, in GiB: on a GPU by PyTorch, else by this process; None if unknown."""
    if device.type == "cuda":
        return torch.cuda.max_memory_allocated(device) / 2**30
    try:
        import resource
    except ImportError:  # Windows
        return None
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak / (2**30 if sys.platform == "darwin" else 2**20)  # macOS counts bytes, Linux KiB
