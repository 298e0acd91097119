"""The kernel, compiled for this machine's processor."""

from __future__ import annotations

import atexit
import shutil
import subprocess
import tempfile
from functools import cache
from pathlib import Path

from sartor.errors import MissingPackageError, RunError

#: Compilers that are looked for, the first that is there is taken.
_COMPILERS = ("cc", "gcc", "clang")
_FLAGS = ("-O3", "-march=native", "-shared", "-fPIC")
#: Seconds; it takes a few.
_PATIENCE = 300
#: Characters of what a compiler says that are passed on.
_MOST = 500


def sources() -> list[Path]:
    """The files in C, the one that is compiled first."""
    folder = Path(__file__).parent
    return [folder / "operator.c", folder / "kernel.c"]


@cache
def library() -> Path:
    """A library of operators for ONNX Runtime; it is there until the process ends.

    Raises `MissingPackageError` without a compiler for C, `RunError` with what it says if it fails.
    """
    compiler = _compiler()
    folder = Path(tempfile.mkdtemp(prefix="sartor-bitserial-"))
    atexit.register(shutil.rmtree, folder, ignore_errors=True)

    path = folder / "bitserial.so"
    source, *_ = sources()
    command = [compiler, *_FLAGS, "-o", str(path), str(source)]
    done = subprocess.run(  # noqa: S603 - words, not a shell line
        command, capture_output=True, text=True, check=False, timeout=_PATIENCE
    )
    if done.returncode:
        said = done.stderr.strip()[:_MOST]
        raise RunError(f"{compiler} could not compile {source.name}: {said}")
    return path


def _compiler() -> str:
    for name in _COMPILERS:
        found = shutil.which(name)
        if found is not None:
            return found
    names = ", ".join(_COMPILERS)
    raise MissingPackageError(
        f"a compiler for C is needed for kernels of few bits; none of {names} is on the path"
    )
