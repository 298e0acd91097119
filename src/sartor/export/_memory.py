"""Peak memory of running an artifact, in a process of its own.

``python -m sartor.export._memory TARGET FILE THREADS BATCH DEVICE PRECISION`` prints it, in bytes.
"""

from __future__ import annotations

import os
import subprocess
import sys
from contextlib import suppress
from pathlib import Path

from sartor import targets
from sartor.errors import RunError
from sartor.targets import TargetOptions

#: Runs after loading; memory is settled by then.
_RUNS = 3
#: Characters of what a failed process says that are passed on.
_MOST = 300
_STATUS = Path("/proc/self/status")


def peak_memory(target: str, artifact: Path, options: TargetOptions) -> int | None:
    """Bytes that loading and running an artifact add to a process that has its runtime loaded.

    They are those of the machine, not of an accelerator.

    None where the system does not tell, and for targets that run elsewhere. Raises `RunError` if
    the artifact cannot be run.
    """
    if not _STATUS.exists() or not targets.target_class(target).is_here:
        return None

    module = "sartor.export._memory"
    numbers = [str(options.threads), str(options.batch)]
    place = [options.device, options.precision]
    words = [sys.executable, "-m", module, target, str(artifact), *numbers, *place]

    # a target of another package is found there, too
    paths = os.pathsep.join(sys.path)
    done = subprocess.run(  # noqa: S603 - words, not a shell line
        words,
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, "PYTHONPATH": paths},
    )
    if done.returncode:
        said = done.stderr.strip()[-_MOST:]
        raise RunError(f"{artifact} cannot be run by {target} in a process of its own: {said}")

    # a runtime may print before it
    return int(done.stdout.split()[-1])


def _main(target: str, artifact: str, *told: str) -> None:
    threads, batch, device, precision = told
    options = TargetOptions(int(threads), int(batch), device, precision)
    subject = targets.make(target, options)

    with suppress(OSError):
        # the peak begins here, not with what imports held
        clear = Path("/proc/self/clear_refs")
        clear.write_text("5", encoding="utf-8")

    before = _status_bytes("VmRSS")
    session = subject.load(Path(artifact))
    for _ in range(_RUNS):
        session.seconds()

    peak = _status_bytes("VmHWM")
    print(max(0, peak - before))  # noqa: T201 - read by the other process


def _status_bytes(name: str) -> int:
    """An entry of what Linux says of this process."""
    text = _STATUS.read_text(encoding="utf-8")
    for line in text.splitlines():
        label, _, value = line.partition(":")
        if label == name:
            kibibytes, _ = value.split()
            return 1024 * int(kibibytes)

    raise RunError(f"{_STATUS} has no entry {name}")


if __name__ == "__main__":
    _main(*sys.argv[1:])
