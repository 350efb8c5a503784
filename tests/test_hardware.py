import pytest
import torch

from lightning_nlp.hardware import default_precision, device_name


@pytest.fixture
def machine(monkeypatch):
    """Play a machine: what its accelerators are, and what they can do."""

    def play(*, cuda=False, cuda_bf16=False, mps=False, avx512_bf16=False, amx=False):
        def is_bf16_supported(including_emulation=True):
            return cuda_bf16 or (cuda and including_emulation)  # an old GPU emulates bfloat16, slowly

        monkeypatch.setattr(torch.cuda, "is_available", lambda: cuda)
        monkeypatch.setattr(torch.cuda, "is_bf16_supported", is_bf16_supported)
        monkeypatch.setattr(torch.cuda, "get_device_name", lambda: "NVIDIA H100")
        monkeypatch.setattr(torch.backends.mps, "is_available", lambda: mps)
        monkeypatch.setattr(torch, "get_num_threads", lambda: 4)
        monkeypatch.setattr(torch.cpu, "_is_avx512_bf16_supported", lambda: avx512_bf16, raising=False)
        monkeypatch.setattr(torch.cpu, "_is_amx_tile_supported", lambda: amx, raising=False)

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
        ({}, "cpu", "32-true"),
        ({"avx512_bf16": True}, "auto", "bf16-mixed"),
        ({"avx512_bf16": True}, "cpu", "bf16-mixed"),
        ({"amx": True}, "auto", "bf16-mixed"),
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


def test_this_machine():
    assert default_precision() in ("bf16-mixed", "32-true")
    assert device_name()
