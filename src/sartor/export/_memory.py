"""Peak memory of running an artifact, in a process of its own: ``python -m sartor.export._memory TARGET FILE THREADS``."""

from __future__ import annotations

import subprocess
import sys
from contextlib import suppress
from pathlib import Path

from sartor import targets
from sartor.errors import RunError
from sartor.machine import require

#: Runs after loading; memory is settled by then.
_RUNS = 3


def peak_memory(target: str, artifact: Path, threads: int) -> int | None:
    """Bytes that loading and running an artifact add to a process that has its runtime loaded; None where that is not known.

    Raises `RunError` if the artifact cannot be run.
    """
    if not Path("/proc/self/status").exists():
        return None
    words = [sys.executable, "-m", "sartor.export._memory", target, str(artifact), str(threads)]
    done = subprocess.run(words, capture_output=True, text=True, check=False)  # noqa: S603 - words, not a shell line
    if done.returncode:
        raise RunError(
            f"{artifact} cannot be run by {target} in a process of its own: {done.stderr.strip()[-300:]}"
        )
    return int(done.stdout.split()[-1])


def _main(target: str, artifact: str, threads: str) -> None:
    subject = targets.make(target, threads=int(threads))
    with suppress(OSError):
        Path("/proc/self/clear_refs").write_text(
            "5", encoding="utf-8"
        )  # the peak begins here, not with what imports held
    before = require("psutil", extra="latency").Process().memory_info().rss
    session = subject.load(Path(artifact))
    for _ in range(_RUNS):
        session.seconds()
    line = next(
        line
        for line in Path("/proc/self/status").read_text(encoding="utf-8").splitlines()
        if line.startswith("VmHWM")
    )
    print(max(0, 1024 * int(line.split()[1]) - before))  # noqa: T201 - read by the other process


if __name__ == "__main__":
    _main(*sys.argv[1:])
