import sys

import torch

from lightning_nlp.training.hardware import device_name, peak_memory_gib


def test_device_name(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: False)
    for threads, name in ((4, "CPU, 4 threads"), (1, "CPU, 1 thread")):
        monkeypatch.setattr(torch, "get_num_threads", lambda threads=threads: threads)
        assert device_name() == name
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: True)
    assert device_name() == "Apple GPU"
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "get_device_name", lambda: "NVIDIA H100")
    assert device_name() == device_name("gpu") == "NVIDIA H100"
    assert device_name("cpu") == "CPU, 1 thread"


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


def test_what_windows_lacks_is_not_known(monkeypatch):
    monkeypatch.setitem(sys.modules, "resource", None)
    assert peak_memory_gib(torch.device("cpu")) is None
