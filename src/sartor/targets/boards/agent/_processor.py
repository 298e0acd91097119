"""What a board's processor is called."""

from __future__ import annotations

import os
import re
from pathlib import Path

#: ARM's own cores by the part number that Linux prints of them.
_ARM = {
    "0xd03": "Cortex-A53",
    "0xd04": "Cortex-A35",
    "0xd05": "Cortex-A55",
    "0xd07": "Cortex-A57",
    "0xd08": "Cortex-A72",
    "0xd09": "Cortex-A73",
    "0xd0a": "Cortex-A75",
    "0xd0b": "Cortex-A76",
    "0xd0c": "Neoverse-N1",
    "0xd0d": "Cortex-A77",
    "0xd41": "Cortex-A78",
    "0xd42": "Cortex-A78AE",
    "0xd44": "Cortex-X1",
    "0xd46": "Cortex-A510",
    "0xd47": "Cortex-A710",
}
_PART = re.compile(r"^CPU part\s*:\s*(\S+)", re.MULTILINE)
_NAME = re.compile(r"^(?:model name|cpu model|uarch)\s*:\s*(.+)$", re.MULTILINE)
_FAMILIES = (("aarch64", "arm"), ("x86_64", "x86", "i386", "i686"), ("riscv64", "riscv"))


def processor(root: Path) -> str:
    """Its name, or those of its kinds of cores; the architecture where Linux says no more."""
    text = read(root / "proc/cpuinfo")
    parts = sorted(set(_PART.findall(text)))
    if parts:
        return " + ".join(_ARM.get(part, f"ARM part {part}") for part in parts)
    named = _NAME.search(text)
    return named.group(1).strip() if named else os.uname().machine


def is_emulated(root: Path) -> bool:
    """Whether this is a program of one architecture on a kernel of another.

    Latencies there are of no use: what is emulated is not slower by the same factor everywhere.
    """
    modalias = read(root / "sys/devices/system/cpu/modalias")
    kernel = read(root / "proc/sys/kernel/arch") or modalias.replace("cpu:type:", "").split(",")[0]
    there = _family(kernel)
    return bool(there) and there != _family(os.uname().machine)


def _family(machine: str) -> str:
    for names in _FAMILIES:
        if any(machine.startswith(name) for name in names):
            return names[0]
    return ""


def read(path: Path) -> str:
    """What a file of the kernel says; empty where there is none, or none that may be read."""
    try:
        return path.read_text(errors="replace").strip("\0\n ")
    except OSError:
        return ""
