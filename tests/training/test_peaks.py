import pytest
import torch

from lightning_nlp.training import peaks
from lightning_nlp.training.peaks import peak_flops

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


PUBLISHED = {
    989.4: ["NVIDIA H100 80GB HBM3", "NVIDIA H200", "NVIDIA GH200 480GB", "NVIDIA GH200 144G HBM3e"],
    756: ["NVIDIA H100 PCIe"],
    835.5: ["NVIDIA H100 NVL", "NVIDIA H200 NVL"],
    2250: ["NVIDIA B200"],
    2500: ["NVIDIA GB200"],
    312: ["NVIDIA A100-SXM4-80GB", "NVIDIA A100-PCIE-40GB", "NVIDIA A100 80GB PCIe", "A100-SXM4-40GB"],
    125: ["NVIDIA A10"],
    165: ["NVIDIA A30"],
    121: ["NVIDIA L4"],
    181: ["NVIDIA L40"],
    362: ["NVIDIA L40S"],
    165.2: ["NVIDIA GeForce RTX 4090"],
}


@pytest.mark.parametrize(("name", "tflops"), [(name, value) for value, names in PUBLISHED.items() for name in names])
def test_published_peak(gpu, name, tflops):
    gpu(name)
    assert peak_flops(CUDA, "bf16-mixed") == peak_flops(CUDA, "16-mixed") == tflops * 1e12
    assert 0.4 * tflops <= peak_flops(CUDA, "32-true") / 1e12 <= 0.52 * tflops  # TF32 has half the speed


def test_peak_follows_the_precision(gpu):
    for name, fp16, fp32 in (("Tesla V100-SXM2-16GB", 125, 15.7), ("Tesla V100-PCIE-32GB", 112, 14)):
        gpu(name)
        assert [peak_flops(CUDA, precision) for precision in ("16-mixed", "32-true")] == [fp16 * 1e12, fp32 * 1e12]
        assert peak_flops(CUDA, "bf16-mixed") is None  # emulated
    gpu("NVIDIA A100-SXM4-80GB")
    assert peak_flops(CUDA, "32-true") == 156e12
    torch.set_float32_matmul_precision("highest")
    assert peak_flops(CUDA, "32-true") == 19.5e12
    assert {peak_flops(CUDA, precision) for precision in ("64-true", "transformer-engine")} == {None}
    assert peak_flops(torch.device("mps"), "32-true") is None


# a seventh of a card, another memory, a laptop's, a virtual GPU's profile
UNKNOWN = "H100 80GB HBM3 MIG 1g.10gb|H100 80GB HBM2e|GeForce RTX 4090 Laptop GPU|GeForce RTX 4090 D|A10-24Q|A100X|H20"


@pytest.mark.parametrize("name", [*UNKNOWN.split("|"), "AMD Instinct MI300X", "NVIDIA"])
def test_unknown_gpus_are_not_guessed(gpu, name):
    gpu(name)
    assert peak_flops(CUDA, "bf16-mixed") is None


@pytest.fixture
def cpu(monkeypatch):
    """Play a CPU of a speed; returns the sizes and formats measured."""

    def play(flops):
        measured = []

        def fastest_matmul(size, dtype):
            measured.append((size, dtype))
            return 2 * size**3 / flops

        monkeypatch.setattr(peaks, "_fastest_matmul", fastest_matmul)
        return measured

    peaks._measured_peak.cache_clear()
    yield play
    peaks._measured_peak.cache_clear()


def test_a_cpu_is_measured_once_for_each_format_and_a_slow_one_with_a_smaller_matrix(cpu):
    measured = cpu(100e9)
    assert [peak_flops(CPU, "32-true"), peak_flops(CPU, "32-true")] == [pytest.approx(100e9)] * 2
    assert measured == [(size, torch.float32) for size in (256, 512, 1024, 2048)]
    assert peak_flops(CPU, "transformer-engine") is None
    measured = cpu(2e9)  # 2048^3 would take 9 s
    assert peak_flops(CPU, "bf16-mixed") == pytest.approx(2e9)
    assert measured[-1] == (512, torch.bfloat16)


def test_measuring_leaves_the_seed_alone(monkeypatch):
    peaks._measured_peak.cache_clear()
    monkeypatch.setattr(peaks, "MATMUL_SIZE", 256)
    before = torch.get_rng_state()
    assert 1e7 < peak_flops(CPU, "32-true") < 1e15
    assert torch.equal(before, torch.get_rng_state())
    peaks._measured_peak.cache_clear()
