"""QONNX: integers of any width, as FINN and other tools for FPGAs read them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from torch import Tensor, fx

from sartor.export._format import Format
from sartor.machine import require
from sartor.targets import write_qonnx


class QonnxFormat(Format):
    """An ONNX file with ``Quant`` nodes, for images of a fixed batch."""

    name = "qonnx"
    suffix = ".qonnx"
    runtime = "qonnx"
    dynamic = False
    exact = True

    def write(
        self,
        network: fx.GraphModule,
        inputs: Sequence[Tensor],
        path: Path,
        *,
        metadata: Mapping[str, str],
        dynamic: bool,
    ) -> None:
        """One file; the metadata are properties of the model."""
        write_qonnx(network, inputs, path, metadata=metadata)

    def read_metadata(self, path: Path) -> dict[str, str]:
        """Properties of the model."""
        onnx = require("onnx", extra="qonnx")
        model = onnx.load(str(path), load_external_data=False)
        return {item.key: item.value for item in model.metadata_props}
