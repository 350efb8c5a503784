import pytest
import torch

from lightning_nlp.training.precision import default_precision, float32_products


@pytest.fixture
def machine(monkeypatch):
    """Play a machine: what its accelerators are, and what they can do."""

    def play(*, cuda=False, cuda_bf16=False, mps=False, avx512_bf16=False, amx=False, used="AVX512"):
        def is_bf16_supported(including_emulation=True):
            return cuda_bf16 or (cuda and including_emulation)  # an old GPU emulates bfloat16, slowly

        monkeypatch.setattr(torch.cuda, "is_available", lambda: cuda)
        monkeypatch.setattr(torch.cuda, "is_bf16_supported", is_bf16_supported)
        monkeypatch.setattr(torch.backends.mps, "is_available", lambda: mps)
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


def test_float32_products_are_as_before_afterwards():
    before = torch.get_float32_matmul_precision()
    with float32_products("high"):
        assert torch.get_float32_matmul_precision() == "high"
    assert torch.get_float32_matmul_precision() == before
