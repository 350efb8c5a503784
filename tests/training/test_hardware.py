import os
import sys
from types import SimpleNamespace

import pytest
import torch

from lightning_nlp.training.hardware import default_precision, device_name, memory_gib, peak_memory_gib


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


def test_device_name(machine, monkeypatch):
    machine(cuda=True)
    assert device_name() == device_name("gpu") == "NVIDIA H100"
    assert device_name("cpu") == "CPU, 4 threads"
    machine(mps=True)
    assert device_name() == "Apple GPU"
    machine()
    monkeypatch.setattr(torch, "get_num_threads", lambda: 1)
    assert device_name() == "CPU, 1 thread"


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
