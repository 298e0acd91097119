"""Cores of a board: which there are, and on which a measurement is taken."""

from __future__ import annotations

import gc
import os
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from sartor.targets.boards.agent._processor import read

#: Seconds to find out which core is least busy.
_LISTEN = 0.05
_CPUS = Path("sys/devices/system/cpu")


def keep_to(cores: Sequence[int]) -> None:
    """Run on these cores alone, with all threads that are started from now on.

    Raises `ValueError` for cores that the board lacks.
    """
    allowed = os.sched_getaffinity(0)
    if not set(cores) <= allowed:
        there = ", ".join(map(str, sorted(allowed)))
        raise ValueError(f"cores are {list(cores)}; allowed are {there}")
    os.sched_setaffinity(0, cores)


@contextmanager
def undisturbed() -> Iterator[None]:
    """The calling thread stays on the least busy of the fastest cores; no garbage is collected."""
    allowed = os.sched_getaffinity(0)
    if len(allowed) > 1:
        os.sched_setaffinity(0, {_least_busy(fastest(allowed, Path("/")))})
    gc.disable()
    try:
        yield
    finally:
        gc.enable()
        os.sched_setaffinity(0, allowed)


def fastest(cores: set[int], root: Path) -> set[int]:
    """Those with the highest clock: boards have large and small ones; all where none is known."""
    clocks = {core: most_mhz(core, root) for core in cores}
    highest = max(clocks.values())
    return {core for core, clock in clocks.items() if clock == highest}


def mhz(core: int, root: Path) -> float:
    """Clock of a core at the moment; 0 where it is not known."""
    return _mhz(root / _CPUS / f"cpu{core}/cpufreq/scaling_cur_freq")


def most_mhz(core: int, root: Path) -> float:
    """Clock that a core can have; 0 where it is not known."""
    return _mhz(root / _CPUS / f"cpu{core}/cpufreq/cpuinfo_max_freq")


def governor(core: int, root: Path) -> str:
    """What chooses the clock of a core; empty where nothing does."""
    return read(root / _CPUS / f"cpu{core}/cpufreq/scaling_governor")


def _mhz(path: Path) -> float:
    text = read(path)
    return int(text) / 1000 if text.isdigit() else 0.0


def _least_busy(cores: set[int]) -> int:
    before = _busy()
    time.sleep(_LISTEN)
    after = _busy()
    return min(sorted(cores), key=lambda core: after.get(core, 0) - before.get(core, 0))


def _busy() -> dict[int, int]:
    """Ticks that each core has not been idle for, since it was started."""
    found = {}
    for line in read(Path("/proc/stat")).splitlines():
        name, *numbers = line.split()
        if name.startswith("cpu") and name != "cpu":
            user, nice, system, _, _, *others = map(int, numbers)
            found[int(name[3:])] = user + nice + system + sum(others)
    return found
