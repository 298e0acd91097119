"""Memory that is kept, in a process of its own."""

import platform
import subprocess
import sys

import pytest

PROGRAM = """
import resource
import torch
from sartor.machine import keep_freed_memory
if {kept}:
    assert keep_freed_memory()
for _ in range(20):  # the heap grows until a freed block fits the next
    torch.empty(10_000_000).fill_(1.0)
before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
for _ in range(20):
    torch.empty(10_000_000).fill_(1.0)
print(resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)
"""


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="a setting of glibc")
def test_memory_that_was_freed_is_not_fetched_again():
    def faults(kept):
        program = PROGRAM.format(kept=kept)
        return int(
            subprocess.run(
                [sys.executable, "-c", program], capture_output=True, text=True, check=True
            ).stdout
        )

    assert faults(kept=True) < faults(kept=False) / 10


RETURNING = """
import torch
from sartor.machine import give_freed_memory_back, keep_freed_memory
def resident():
    with open("/proc/self/statm") as statm:
        return int(statm.read().split()[1])
assert keep_freed_memory()
values = [torch.empty(2_000_000).fill_(1.0) for _ in range(20)]
small = [torch.empty(10) for _ in range(1000)]  # behind them on the heap
del values
before = resident()
give_freed_memory_back()
print((before - resident()) * 4096)
"""


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="a setting of glibc")
def test_what_was_freed_can_be_given_back():
    done = subprocess.run(
        [sys.executable, "-c", RETURNING], capture_output=True, text=True, check=True
    )
    assert int(done.stdout) > 0.8 * 20 * 2_000_000 * 4
