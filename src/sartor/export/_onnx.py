"""ONNX: integers as QuantizeLinear and DequantizeLinear, nodes that bear the names of layers."""

from __future__ import annotations

import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar

from torch import Tensor, fx

from sartor.export._format import Format
from sartor.machine import Float32Array, require
from sartor.targets import BIASED, OnnxRuntimeTarget, write_onnx


class OnnxFormat(Format):
    """A file that most runtimes read."""

    name = "onnx"
    suffix = ".onnx"
    runtime = "onnxruntime"
    names_layers = True
    #: What its files run on.
    target: ClassVar[type[OnnxRuntimeTarget]] = OnnxRuntimeTarget

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
        write_onnx(network, inputs, path, dynamic_batch=dynamic, metadata=metadata)

    def read_metadata(self, path: Path) -> dict[str, str]:
        """Properties of the model."""
        onnx = require("onnx", extra="onnxruntime")
        model = onnx.load(str(path), load_external_data=False)
        return {item.key: item.value for item in model.metadata_props}

    def layer_outputs(
        self, path: Path, layers: Sequence[str], images: Float32Array
    ) -> dict[str, Float32Array]:
        """What the nodes of these layers write in ONNX Runtime, their biases added."""
        onnx = require("onnx", extra="onnxruntime")
        model = onnx.load(path)
        tensors = _tensors_of(model, layers)
        results = [item.name for item in model.graph.output]

        # a runtime gives only what a file names as its results
        shown = sorted(set(tensors.values()).difference(results))
        for tensor in shown:
            result = onnx.ValueInfoProto(name=tensor)
            model.graph.output.append(result)

        with tempfile.TemporaryDirectory() as folder:
            every_layer = Path(folder) / "every_layer.onnx"
            onnx.save(model, every_layer)
            session = self.target().load(every_layer)
            outputs = session.run([images])

        found = dict(zip([*results, *shown], outputs, strict=True))
        return {layer: found[tensor] for layer, tensor in tensors.items()}


def _tensors_of(model: Any, layers: Sequence[str]) -> dict[str, str]:
    """What layers write, behind their biases; those that no node is named after are left out."""
    written = {}
    for node in model.graph.node:
        if node.output:
            written[node.name] = node.output[0]

    tensors = {}
    for layer in layers:
        if layer in written:
            biased = f"{layer}{BIASED}"
            tensors[layer] = written.get(biased, written[layer])
    return tensors
