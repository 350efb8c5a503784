import os
import sys
from types import SimpleNamespace

import pytest
import torch

from lightning_nlp.training import hardware
from lightning_nlp.training.hardware import default_precision, device_name, memory_gib, peak_flops, peak_memory_gib


@pytest.fixture
def machine(monkeypatch):
    """Play a machine: what its accelerators are, and what they can do."""

    def play(*, cuda=False, cuda_bf16=False, mps=False, avx512_bf16=False, amx=False, used="AVX512"):
        def is_bf16_supported(including_emulation=True):
            return cuda_bf16 or (cuda and including_emulation)  # an old GPU emulates bfloat16, slowly

        monkeypatch.setattr(torch.cuda, "is_available", lambda: cuda)
        monkeypatch.setattr(torch.cuda, "is_bf16_supported", is_bf16_supported)
        monkeypatch.setattr(torch.cuda, "get_device_name", lambda: "NVIDIA H100")
        monkeypatch.setattr(torch.backends.mps, "is_available", lambda: mps)
        monkeypatch.setattr(torch, "get_num_threads", lambda: 4)
        monkeypatch.setattr(torch.cpu, "_is_avx512_bf16_supported", lambda: avx512_bf16, raising=False)
        monkeypatch.setattr(torch.cpu, "_is_amx_tile_supported", lambda: amx, raising=False)
        monkeypatch.setattr(torch.backends.cpu, "get_cpu_capability", lambda: used)

    return play


@pytest.mark.parametrize(
    ("abilities", "accelerator", "precision"),
    [
        ({"cuda": True, "cuda_bf16": True}, "auto", "bf16-mixed"),
        ({"cuda": True, "cuda_bf16": True}, "gpu", "bf16-mixed"),
        ({"cuda": True, "cuda_bf16": True}, "cuda", "bf16-mixed"),
        ({"cuda": True, "cuda_bf16": True}, "cpu", "32-true"),
        ({"cuda": True, "cuda_bf16": True, "amx": True}, "cpu", "bf16-mixed"),
        ({"cuda": True}, "auto", "32-true"),
        ({"cuda": True, "avx512_bf16": True}, "auto", "32-true"),
        ({"mps": True}, "auto", "32-true"),
        ({"mps": True}, "mps", "32-true"),
        ({"mps": True, "avx512_bf16": True}, "gpu", "32-true"),
        ({}, "auto", "32-true"),
        ({"avx512_bf16": True}, "auto", "bf16-mixed"),
        ({"amx": True}, "auto", "bf16-mixed"),
        ({"avx512_bf16": True, "amx": True, "used": "AVX2"}, "auto", "32-true"),
    ],
)
def test_default_precision(machine, abilities, accelerator, precision):
    machine(**abilities)
    assert default_precision(accelerator) == precision


def test_a_torch_that_does_not_tell_what_the_cpu_can_do(machine, monkeypatch):
    machine()
    monkeypatch.delattr(torch.cpu, "_is_avx512_bf16_supported")
    monkeypatch.delattr(torch.cpu, "_is_amx_tile_supported")
    assert default_precision("cpu") == "32-true"


def test_the_cpu_that_is_asked_for_is_played(request):
    kind = request.config.getoption("--cpu")
    assert kind is None or (torch.backends.cpu.get_cpu_capability(), default_precision("cpu")) == ("AVX2", "32-true")


def test_device_name(machine):
    machine(cuda=True)
    assert device_name() == device_name("gpu") == "NVIDIA H100"
    assert device_name("cpu") == "CPU, 4 threads"
    machine(mps=True)
    assert device_name() == "Apple GPU"
    machine()
    assert device_name() == "CPU, 4 threads"


def test_one_thread_is_no_plural(machine, monkeypatch):
    machine()
    monkeypatch.setattr(torch, "get_num_threads", lambda: 1)
    assert device_name() == "CPU, 1 thread"


CPU, CUDA = torch.device("cpu"), torch.device("cuda")


@pytest.fixture
def gpu(monkeypatch):
    """Play a GPU of a name; float32 products in TF32, as the command line sets it."""

    def play(name):
        monkeypatch.setattr(torch.cuda, "get_device_name", lambda device=None: name)

    before = torch.get_float32_matmul_precision()
    torch.set_float32_matmul_precision("high")
    yield play
    torch.set_float32_matmul_precision(before)


@pytest.mark.parametrize(
    ("name", "tflops"),
    [
        ("NVIDIA H100 80GB HBM3", 989.4),
        ("NVIDIA H100 PCIe", 756),
        ("NVIDIA H100 NVL", 835.5),
        ("NVIDIA H200", 989.4),
        ("NVIDIA H200 NVL", 835.5),
        ("NVIDIA GH200 480GB", 989.4),
        ("NVIDIA GH200 144G HBM3e", 989.4),
        ("NVIDIA B200", 2250),
        ("NVIDIA GB200", 2500),
        ("NVIDIA A100-SXM4-80GB", 312),
        ("NVIDIA A100-PCIE-40GB", 312),
        ("NVIDIA A100 80GB PCIe", 312),
        ("A100-SXM4-40GB", 312),
        ("NVIDIA A10", 125),
        ("NVIDIA A30", 165),
        ("NVIDIA L4", 121),
        ("NVIDIA L40", 181),
        ("NVIDIA L40S", 362),
        ("NVIDIA GeForce RTX 4090", 165.2),
    ],
)
def test_published_peak(gpu, name, tflops):
    gpu(name)
    assert peak_flops(CUDA, "bf16-mixed") == peak_flops(CUDA, "16-mixed") == tflops * 1e12
    assert 0.4 * tflops <= peak_flops(CUDA, "32-true") / 1e12 <= 0.52 * tflops  # TF32 has half the speed


@pytest.mark.parametrize(
    ("name", "fp16", "fp32"),
    [("Tesla V100-SXM2-16GB", 125, 15.7), ("Tesla V100-PCIE-32GB", 112, 14), ("Tesla T4", 65, 8.1)],
)
def test_gpus_without_bfloat16_and_tf32(gpu, name, fp16, fp32):
    gpu(name)
    assert peak_flops(CUDA, "16-mixed") == fp16 * 1e12
    assert peak_flops(CUDA, "32-true") == fp32 * 1e12
    assert peak_flops(CUDA, "bf16-mixed") is None  # emulated


@pytest.mark.parametrize(
    "name",
    [
        "NVIDIA H100 80GB HBM3 MIG 1g.10gb",  # a seventh of it
        "NVIDIA H100 80GB HBM2e",
        "NVIDIA GeForce RTX 4090 Laptop GPU",
        "NVIDIA GeForce RTX 4090 D",
        "NVIDIA GeForce RTX 3090 Ti",
        "NVIDIA A10-24Q",
        "NVIDIA A100X",
        "NVIDIA H20",
        "AMD Instinct MI300X",
        "NVIDIA",
    ],
)
def test_unknown_gpus_are_not_guessed(gpu, name):
    gpu(name)
    assert peak_flops(CUDA, "bf16-mixed") is None


def test_peak_follows_the_precision(gpu):
    gpu("NVIDIA A100-SXM4-80GB")
    assert peak_flops(CUDA, "bf16-true") == 312e12
    assert peak_flops(CUDA, "32-true") == 156e12
    torch.set_float32_matmul_precision("highest")
    assert peak_flops(CUDA, "32-true") == 19.5e12
    assert peak_flops(CUDA, "64-true") is None
    assert peak_flops(CUDA, "transformer-engine") is None
    assert peak_flops(torch.device("mps"), "32-true") is None


@pytest.fixture
def cpu(monkeypatch):
    """Play a CPU of a speed; returns the sizes and formats measured."""

    def play(flops):
        measured = []

        def fastest_matmul(size, dtype):
            measured.append((size, dtype))
            return 2 * size**3 / flops

        monkeypatch.setattr(hardware, "_fastest_matmul", fastest_matmul)
        return measured

    hardware._measured_peak.cache_clear()
    yield play
    hardware._measured_peak.cache_clear()


def test_a_cpu_is_measured_once_for_each_format(cpu):
    measured = cpu(100e9)
    assert [peak_flops(CPU, "32-true"), peak_flops(CPU, "32-true")] == [pytest.approx(100e9)] * 2
    assert measured == [(size, torch.float32) for size in (256, 512, 1024, 2048)]
    measured.clear()
    assert peak_flops(CPU, "bf16-mixed") == pytest.approx(100e9)
    assert measured[-1] == (2048, torch.bfloat16)
    assert peak_flops(CPU, "transformer-engine") is None


def test_a_slow_cpu_is_measured_with_a_smaller_matrix(cpu):
    measured = cpu(2e9)  # 2048^3 would take 9 s
    assert peak_flops(CPU, "16-mixed") == pytest.approx(2e9)
    assert max(measured)[0] == 512


def test_measuring_leaves_the_seed_alone(monkeypatch):
    hardware._measured_peak.cache_clear()
    monkeypatch.setattr(hardware, "MATMUL_SIZE", 256)
    before = torch.get_rng_state()
    assert 1e7 < peak_flops(CPU, "32-true") < 1e15
    assert torch.equal(before, torch.get_rng_state())
    hardware._measured_peak.cache_clear()


# --- memory


def test_peak_memory_is_that_of_the_device_of_the_training(monkeypatch):
    """On the CPU of a machine with a GPU, the GPU's would be another program's, or nothing."""
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "max_memory_allocated", lambda device: 5 * 2**30)
    before = peak_memory_gib(torch.device("cpu"))
    assert 0.05 < before < 100
    held = torch.ones(2**27)  # half a GiB
    assert before <= peak_memory_gib(torch.device("cpu")) < 100
    del held
    assert peak_memory_gib(torch.device("cuda", 0)) == 5


def test_memory_is_that_of_the_device(monkeypatch):
    monkeypatch.setattr(torch.cuda, "get_device_properties", lambda device: SimpleNamespace(total_memory=16 * 2**30))
    assert memory_gib(torch.device("cuda", 0)) == 16
    pages = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    assert memory_gib(torch.device("cpu")) == pages / 2**30


def test_what_windows_lacks_is_not_known(monkeypatch):
    monkeypatch.delattr(os, "sysconf")
    monkeypatch.setitem(sys.modules, "resource", None)
    assert memory_gib(torch.device("cpu")) is None
    assert peak_memory_gib(torch.device("cpu")) is None
