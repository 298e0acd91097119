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
