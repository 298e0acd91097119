"""PyTorch's compiler: networks compiled ahead of time by AOTInductor, run without Python."""

from __future__ import annotations

import json
import os
import shutil
import tempfile
import warnings
import zipfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, fx

from sartor.errors import MissingPackageError, RunError
from sartor.machine import write_atomically
from sartor.targets._base import Session
from sartor.targets._devices import DTYPES
from sartor.targets._exporting import CACHES, exporting, running
from sartor.targets._options import DEVICE, PRECISION
from sartor.targets._program import exported
from sartor.targets._pt2e import with_integers
from sartor.targets._torch import TorchTarget

#: The entry of a package that holds what `build` was given, as JSON.
_KEY = "sartor"
#: Where a package keeps its entries.
_ENTRIES = ".wrapper_metadata.json"
#: Compilers of C++ that are looked for.
_COMPILERS = ("g++", "clang++", "c++")


class InductorTarget(TorchTarget):
    """Like the target torch, compiled.

    Compiling a candidate takes from ten seconds to a minute, so this target is for short searches
    and for finalists: search on another one and measure the result here.

    Raises `MissingPackageError` where there is no C++ compiler.
    """

    name = "inductor"
    suffix = ".aoti.pt2"
    summary = "PyTorch's compiler, ahead of time (AOTInductor)"
    formats = ("aoti",)
    mode = "inductor"

    def __init__(
        self,
        threads: int = 1,
        batch: int = 1,
        device: str = DEVICE,
        precision: str = PRECISION,
    ) -> None:
        super().__init__(threads, batch, device, precision)
        _require_compiler()

    def build(
        self,
        network: fx.GraphModule,
        inputs: Sequence[Tensor],
        path: Path,
        *,
        metadata: Mapping[str, str] | None = None,
    ) -> Path:
        """A package for the device and for batches of the size of ``inputs``."""
        dtype = DTYPES[self.precision]
        ready = with_integers(network).to(self.device, dtype)
        examples = [item.to(self.device, dtype) for item in inputs]
        program = exported(ready, examples)

        entry = {
            "device": self.device.type,
            "precision": self.precision,
            "shapes": [list(item.shape) for item in inputs],
            "metadata": dict(metadata or {}),
        }
        settings = {"aot_inductor.metadata": {_KEY: json.dumps(entry)}, "compile_threads": 1}
        with tempfile.TemporaryDirectory() as folder, _compiler("aoti_compile_and_package") as make:
            package = Path(folder) / "model.pt2"
            make(program, package_path=str(package), inductor_configs=settings)
            write_atomically(path, lambda temporary: shutil.copyfile(package, temporary))
        return path

    def load(self, artifact: Path, *, threads: int | None = None) -> Session:
        """The package; raises `RunError` for one of another device or precision."""
        entry = read_entry(artifact)
        found = (entry["device"], entry["precision"])
        wanted = (self.device.type, self.precision)
        if found != wanted:
            raise RunError(
                f"{artifact} was compiled for {' in '.join(found)}; this target computes on "
                f"{' in '.join(wanted)}"
            )

        index = self.device.index if self.device.index is not None else -1
        with _compiler("aoti_load_package") as load, running(artifact, self.name, "loaded"):
            network = load(str(artifact), device_index=index)
        return self.session(artifact, network, entry["shapes"], threads)


def read_entry(artifact: Path) -> dict[str, Any]:
    """What a package says of itself; nothing of it is run.

    Raises `RunError` for a file that is no package, or another's.
    """
    with running(artifact, InductorTarget.name, "read"), zipfile.ZipFile(artifact) as archive:
        names = [name for name in archive.namelist() if name.endswith(_ENTRIES)]
        entries = json.loads(archive.read(names[0])) if names else {}

    if _KEY not in entries:
        raise RunError(f"{artifact} is no package of AOTInductor that sartor wrote")
    found: dict[str, Any] = json.loads(entries[_KEY])
    return found


@contextmanager
def _compiler(name: str) -> Iterator[Callable[..., Any]]:
    """A function of the compiler, whose files go into a folder of this process.

    What is raised is a `RunError`.
    """
    with exporting("inductor"), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for variable in CACHES:
            os.environ[variable] = str(Path(_scratch().name) / variable.lower())
        yield _private(name)


@cache
def _scratch() -> tempfile.TemporaryDirectory[str]:
    """Where kernels are kept for the next network; it is removed when the process ends."""
    return tempfile.TemporaryDirectory(prefix="sartor-inductor-")


def _private(name: str) -> Callable[..., Any]:
    """A function that torch documents, though its module has an underscore.

    Raises `RunError` where it has moved.
    """
    import torch._inductor as inductor

    found: Callable[..., Any] | None = getattr(inductor, name, None)
    if found is None:
        raise RunError(
            f"torch {torch.__version__} has no torch._inductor.{name}; install an earlier one"
        )
    return found


def _require_compiler() -> None:
    named = os.environ.get("CXX")
    candidates = (named,) if named else _COMPILERS
    if not any(map(shutil.which, candidates)):
        raise MissingPackageError(
            f"the target inductor needs a C++ compiler, and {' or '.join(candidates)} is not "
            "there; install one, or name it in CXX"
        )
