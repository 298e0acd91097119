"""ONNX with layers of few bits, and the kernel that computes them, in C."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from torch import Tensor, fx

from sartor.export._onnx import OnnxFormat
from sartor.machine import write_atomically
from sartor.targets import BitSerialTarget
from sartor.targets.bitserial import sources, write_bitserial


class BitSerialFormat(OnnxFormat):
    """A file for ONNX Runtime, and beside it the sources of the operator ``sartor.BitSerial``.

    Where it is to run, a compiler for C makes a library of the sources, ``cc -O3 -march=native
    -shared -fPIC -o bitserial.so operator.c``, which `SessionOptions.register_custom_ops_library`
    is told of.
    """

    name = "onnx-bitserial"
    suffix = ".bitserial.onnx"
    runtime = "onnxruntime-bitserial"
    target = BitSerialTarget

    def write(
        self,
        network: fx.GraphModule,
        inputs: Sequence[Tensor],
        path: Path,
        *,
        metadata: Mapping[str, str],
        dynamic: bool,
    ) -> None:
        """The metadata are properties of the model."""
        for source in sources():
            write_atomically(path.parent / source.name, _copy_of(source))
        write_bitserial(network, inputs, path, dynamic_batch=dynamic, metadata=metadata)

    def files(self, path: Path) -> list[Path]:
        """The model and the sources."""
        return [path, *(path.parent / source.name for source in sources())]


def _copy_of(source: Path) -> Callable[[Path], None]:
    def fill(temporary: Path) -> None:
        shutil.copyfile(source, temporary)

    return fill
