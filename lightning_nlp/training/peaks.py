"""The peak speed of matrix products on a device: published for a GPU, measured on a CPU."""

import re
import time
from functools import cache
from typing import NamedTuple

import torch


class Peaks(NamedTuple):
    """Matrix products, published, dense, in TFLOP/s; None if the GPU does not support the format."""

    fp16: float
    bf16: float | None
    tf32: float | None
    fp32: float


# Keys are the words of the GPU's name that `_model` keeps. NVIDIA's newer data sheets print figures with sparsity,
# twice the dense ones below. GeForce cards: with float32 accumulation, as in PyTorch's matrix products.
PEAKS = {
    "GB200": Peaks(2500, 2500, 1250, 80),  # Blackwell data sheet, "GB200 NVL72", per GPU: 5 and 2.5 PFLOPS sparse
    "B200": Peaks(2250, 2250, 1100, 75),  # Blackwell data sheet, "HGX B200", per GPU: 4.5 and 2.2 PFLOPS sparse
    "GH200": Peaks(989.4, 989.4, 494.7, 66.9),  # GH200 Grace Hopper data sheet; exact figures: H100 white paper, SXM5
    "H200": Peaks(989.4, 989.4, 494.7, 66.9),  # H200 data sheet, SXM: 1,979 and 989 sparse
    "H200 NVL": Peaks(835.5, 835.5, 417.5, 60),  # H200 data sheet, NVL: 1,671 and 835 sparse
    "H100": Peaks(989.4, 989.4, 494.7, 66.9),  # H100 architecture white paper, SXM5
    "H100 PCIE": Peaks(756, 756, 378, 51.2),  # H100 architecture white paper, PCIe
    "H100 NVL": Peaks(835.5, 835.5, 417.5, 60),  # H100 data sheet, NVL: 1,671 and 835 sparse
    "L40S": Peaks(362, 362, 183, 91.6),  # L40S data sheet
    "L40": Peaks(181, 181, 90.5, 90.5),  # L40 data sheet
    "L4": Peaks(121, 121, 60, 30.3),  # L4 data sheet: 242 and 120 sparse
    "RTX 4090": Peaks(165.2, 165.2, 82.6, 82.6),  # Ada architecture white paper, appendix A
    "A100": Peaks(312, 312, 156, 19.5),  # A100 data sheet, SXM and PCIe alike
    "A100 PCIE": Peaks(312, 312, 156, 19.5),
    "A30": Peaks(165, 165, 82, 10.3),  # A30 data sheet
    "A10": Peaks(125, 125, 62.5, 31.2),  # A10 data sheet
    "V100": Peaks(125, None, None, 15.7),  # V100 data sheet, SXM2
    "V100 PCIE": Peaks(112, None, None, 14),  # V100 data sheet, PCIe
    "T4": Peaks(65, None, None, 8.1),  # T4 data sheet
}
# Words that do not matter: the maker, the size and kind of memory, the model's usual socket. Any other (Ti,
# D, Laptop, MIG, a virtual GPU's profile) means another speed, and must not match.
NO_MATTER = re.compile(r"NVIDIA|TESLA|GEFORCE|\d+GB?|HBM3E?|SXM\d")

MATMUL_SIZE = 2048
LONGEST_MATMUL = 0.3  # seconds; a slower CPU is measured with a smaller matrix


def peak_flops(device: torch.device, precision: str) -> float | None:
    """Peak floating-point operations per second of matrix products on one device; None if unknown.

    Args:
        precision: Lightning's `trainer.precision`. For `32-true` on a GPU, PyTorch's float32 matmul precision
            decides between TF32 and float32.
    """
    dtypes = {"bf16": torch.bfloat16, "16": torch.float16, "32": torch.float32, "64": torch.float64}
    dtype = dtypes.get(precision.split("-")[0])
    if dtype is None:
        return None
    if device.type == "cpu":
        return _measured_peak(dtype, torch.get_num_threads())
    peaks = PEAKS.get(_model(torch.cuda.get_device_name(device))) if device.type == "cuda" else None
    if peaks is None:
        return None
    tf32 = peaks.tf32 is not None and torch.get_float32_matmul_precision() != "highest"
    fp32 = peaks.tf32 if tf32 else peaks.fp32
    peak = {torch.bfloat16: peaks.bf16, torch.float16: peaks.fp16, torch.float32: fp32}.get(dtype)
    return None if peak is None else peak * 1e12


def _model(name: str) -> str:
    return " ".join(word for word in re.split(r"[ -]+", name.upper()) if not NO_MATTER.fullmatch(word))


@cache
def _measured_peak(dtype: torch.dtype, threads: int) -> float:
    """The speed of a large matrix product on this CPU; takes under a second, once per process."""
    size, seconds = 256, _fastest_matmul(256, dtype)
    while size < MATMUL_SIZE and 8 * seconds < LONGEST_MATMUL:
        size *= 2
        seconds = _fastest_matmul(size, dtype)
    return 2 * size**3 / seconds


def _fastest_matmul(size: int, dtype: torch.dtype) -> float:
    # of three: the first is slow, and another program may disturb one
    matrix = torch.ones(size, size, dtype=dtype)  # random values would advance the random state
    product = torch.empty_like(matrix)
    times = []
    for _ in range(3):
        start = time.perf_counter()
        torch.mm(matrix, matrix, out=product)
        times.append(time.perf_counter() - start)
    return min(times)
