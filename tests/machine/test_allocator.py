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
torch.empty(1).fill_(1.0)
before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
for size in range(1_000_000, 7_750_000, 250_000):  # up to 31 MB, each larger than all before
    torch.empty(size).fill_(1.0)
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

    assert faults(kept=True) < faults(kept=False) / 5
