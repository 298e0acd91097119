"""Artifacts that were broken on purpose: one layer's scale is changed, and `verify` must name it.

    sartor search --model resnet20 … --methods quantize --target onnxruntime --out runs/a
    python bench/broken.py runs/a

The sound artifact comes first; nothing must be found in it.
"""

from __future__ import annotations

import tempfile
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import onnx
import tyro
from onnx import TensorProto, numpy_helper

from _common import print_header, print_row
from sartor.runs import Run


@dataclass(frozen=True)
class Broken:
    """Export a run, then break one layer after the other.

    Attributes:
        folder: Of the run.
        factor: The scale of a layer's weights is multiplied by this.
        every: Of the layers with bits, each of this many.
    """

    folder: tyro.conf.Positional[Path]
    factor: float = 1.5
    every: int = 4

    def run(self) -> None:
        """Print what is found, for the sound artifact first."""
        run = Run(self.folder)
        sound = run.export("onnx")
        print_header("broken", "accuracy", "what verify says")
        self._verify("none", sound)
        with tempfile.TemporaryDirectory() as scratch:
            for layer in run.policy.quantized[:: self.every]:
                path = Path(scratch) / f"{layer}.onnx"
                break_scale(sound, layer, path, self.factor)
                self._verify(layer, path)

    def _verify(self, name: str, artifact: Path) -> None:
        verified = Run(self.folder).verify("onnx", artifact=artifact)
        said = "; ".join(verified.faults) or "as promised"
        print_row(name, f"{100 * verified.found.accuracy:.2f}", said)


def break_scale(artifact: Path, layer: str, broken: Path, factor: float) -> None:
    """Write an ONNX file like another, but for the scale of the weights of one layer."""
    model = onnx.load(artifact)
    nodes = model.graph.node
    node = next(node for node in nodes if node.name == layer)
    weights = node.input[1]
    dequantize = next(other for other in nodes if weights in other.output)
    scale = _tensors(model)[dequantize.input[1]]
    changed = factor * numpy_helper.to_array(scale)
    scale.CopyFrom(numpy_helper.from_array(changed.astype(np.float32), scale.name))
    onnx.save(model, broken)


def _tensors(model: onnx.ModelProto) -> dict[str, TensorProto]:
    """Everything that is constant, by name."""
    tensors = {item.name: item for item in model.graph.initializer}
    for node in model.graph.node:
        if node.op_type == "Constant":
            tensors[node.output[0]] = node.attribute[0].t
    return tensors


if __name__ == "__main__":
    tyro.cli(Broken).run()
