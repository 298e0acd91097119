"""What can be known of a board: what it is, how fast its clock is now, how hot and busy it is."""

from __future__ import annotations

import os
import platform
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from sartor.targets.boards.agent._cores import governor, mhz, most_mhz
from sartor.targets.boards.agent._processor import is_emulated, processor, read

#: Bits of a Raspberry Pi's firmware for what slows it at the moment.
_PI = {0: "its voltage is too low", 1: "its clock is capped", 2: "it is throttled", 3: "it is hot"}


def facts(folder: Path, cores: Sequence[int], root: Path = Path("/")) -> dict[str, Any]:
    """All of them, for JSON; ``folder`` is where files are kept, ``cores`` are those used.

    What the board does not tell is 0 or empty.
    """
    first = min(cores)
    return {
        "process": os.getpid(),
        "python": platform.python_version(),
        "model": _model(root),
        "processor": processor(root),
        "emulated": is_emulated(root),
        "cores": list(cores),
        "governor": governor(first, root),
        "mhz": mhz(first, root),
        "most_mhz": most_mhz(first, root),
        "celsius": _celsius(root),
        "load": os.getloadavg()[0],
        "free_bytes": shutil.disk_usage(str(folder)).free,
        "slowed_by": _slowed_by(root),
    }


def _model(root: Path) -> str:
    tree = read(root / "proc/device-tree/model")
    return tree or read(root / "sys/class/dmi/id/product_name")


def _celsius(root: Path) -> float:
    """Of the hottest place that is measured."""
    found = [0.0]
    for path in (root / "sys/class/thermal").glob("thermal_zone*/temp"):
        text = read(path)
        if text.isdigit():
            found.append(int(text) / 1000)
    return max(found)


def _slowed_by(root: Path) -> str:
    """What holds the clock down at the moment, in words; empty if nothing is known to."""
    firmware = read(root / "sys/devices/platform/soc/soc:firmware/get_throttled")
    try:
        bits = int(firmware or "0", 16)
    except ValueError:
        bits = 0
    said = [words for bit, words in _PI.items() if bits >> bit & 1]

    for device in sorted((root / "sys/class/thermal").glob("cooling_device*")):
        kind = read(device / "type")
        state = read(device / "cur_state")
        # others are fans
        if "cpu" in kind.lower() and state.isdigit() and int(state) > 0:
            said.append(f"its processor is throttled ({kind} at {state})")
    return ", ".join(said)
