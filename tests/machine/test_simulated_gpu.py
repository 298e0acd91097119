"""All tests of devices, on a device that is only simulated, in a process of its own."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from simulated_gpu import ASKED_FOR

TESTS = Path(__file__).parents[1]
ROOMS = ("compression", "finetune", "pipeline", "repair", "scoring", "sensitivity")


@pytest.mark.parametrize("room", ROOMS)
def test_a_room_computes_on_it_what_it_computes_on_the_cpu(room):
    arguments = ["-m", "pytest", "-n", "0", "-p", "no:cacheprovider", "-k", "simulated"]
    done = subprocess.run(
        [sys.executable, *arguments, str(TESTS / room / "test_devices.py")],
        check=False,
        cwd=TESTS.parent,
        # Else MKL sums in an order that depends on where arrays happen to lie in memory, and a
        # weight that is as good as another is chosen on one device and not on the other.
        env={**os.environ, ASKED_FOR: "1", "MKL_CBWR": "AUTO,STRICT"},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stdout[-4000:]
    assert " passed" in done.stdout
