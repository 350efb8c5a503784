import platform
import subprocess
import sys

import pytest

# Faults of pages while 64 MiB are allocated, written and freed twenty times: 20 x 16384 pages of 4 KiB where each block
# is new
PROGRAM = """
import resource, torch
from lightning_nlp.memory import keep_freed_memory
assert {call}
for _ in range(20):
    torch.ones(2**24)  # the heap finds its size
before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
for _ in range(20):
    torch.ones(2**24)
print(resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)
"""


def faults(call):
    result = subprocess.run([sys.executable, "-c", PROGRAM.format(call=call)], capture_output=True, text=True)
    assert result.returncode == 0, result.stderr
    return int(result.stdout)


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="other C libraries have no such settings")
def test_freed_memory_is_used_again():
    assert faults("True") > 20_000
    assert faults("keep_freed_memory()") < 2_000


RETURNING = """
import torch
from lightning_nlp.memory import keep_freed_memory, resident_bytes, return_freed_memory
assert keep_freed_memory()
torch.ones(2**26)
kept = resident_bytes()
return_freed_memory()
print(kept - resident_bytes())
"""


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="other C libraries have no such settings")
def test_kept_memory_can_be_given_back():
    result = subprocess.run([sys.executable, "-c", RETURNING], capture_output=True, text=True)
    assert result.returncode == 0, result.stderr
    assert int(result.stdout) > 0.9 * 2**28


def test_elsewhere_nothing_is_done(monkeypatch):
    from lightning_nlp.memory import keep_freed_memory

    monkeypatch.setattr(sys, "platform", "darwin")
    assert keep_freed_memory() is False
