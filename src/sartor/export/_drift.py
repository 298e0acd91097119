"""Where an artifact begins to compute something else than the network it was made from."""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from torch import Tensor, fx

from sartor.compression import layer_calls
from sartor.machine import Float32Array, require, write_atomically
from sartor.targets import BIASED, OnnxRuntimeTarget

#: Relative error above which a layer has drifted: several times what rounding differently amounts to.
DRIFTED = 0.1


@dataclass(frozen=True)
class Drift:
    """Relative error ‖artifact − network‖ / ‖network‖ of what a layer writes."""

    layer: str
    error: float

    @property
    def drifted(self) -> bool:
        """Whether this is more than rounding."""
        return not self.error <= DRIFTED  # not a number counts


def drift(artifact: Path, network: fx.GraphModule, images: Tensor) -> list[Drift]:
    """Of every layer of an ONNX file, in forward order, for some images; layers that the file does not name are left out.

    What layers write is shown before it is rounded, so that they run in fp32 on rounded numbers: a wrong file is found, a wrong
    integer kernel is not (`sartor.targets` looks for those).
    """
    expected: dict[str, Float32Array] = {
        call.name: call.output.numpy() for call in layer_calls(network, (images,))
    }
    found = _computed(artifact, list(expected), images)
    return [
        Drift(name, _error(found[name], wanted))
        for name, wanted in expected.items()
        if name in found
    ]


def _error(found: Float32Array, wanted: Float32Array) -> float:
    return float(np.linalg.norm(found - wanted)) / max(float(np.linalg.norm(wanted)), 1e-12)


def _computed(artifact: Path, names: Sequence[str], images: Tensor) -> dict[str, Float32Array]:
    """What the layers of these names compute in ONNX Runtime, as far as the file has them."""
    onnx = require("onnx", extra="onnxruntime")
    model = onnx.load(artifact)
    written = {node.name: node.output[0] for node in model.graph.node if node.output}
    tensors = {
        name: written.get(f"{name}{BIASED}", written[name]) for name in names if name in written
    }
    results = [item.name for item in model.graph.output]
    shown = sorted(set(tensors.values()).difference(results))
    model.graph.output.extend(onnx.ValueInfoProto(name=tensor) for tensor in shown)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "every_layer.onnx"
        write_atomically(path, lambda temporary: onnx.save(model, temporary))
        outputs = OnnxRuntimeTarget().load(path).run([images.numpy()])
    found = dict(zip([*results, *shown], outputs, strict=True))
    return {name: found[tensor] for name, tensor in tensors.items()}
