"""Artifacts that were broken on purpose: one layer's scale is changed, and it must be told which.

    sartor search --model resnet20 … --methods quantize --target onnxruntime --out runs/a
    python bench/broken.py runs/a

The sound artifact comes first; `sartor verify` must find nothing in it.
"""

from __future__ import annotations

import tempfile
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import onnx
import tyro
from onnx import numpy_helper

from sartor.runs import Run


@dataclass(frozen=True)
class Broken:
    """Export a run, then break one layer after the other."""

    folder: tyro.conf.Positional[Path]
    factor: float = 1.5
    """The scale of a layer's weights is multiplied by this."""
    every: int = 4
    """Of the layers with bits, each of this many."""

    def run(self) -> None:
        """Print what is found, for the sound artifact first."""
        run = Run(self.folder)
        sound = run.export("onnx")
        print("| broken | accuracy | what verify says |\n|---|---|---|")
        self._row("none", sound)
        with tempfile.TemporaryDirectory() as scratch:
            for layer in run.policy.quantized[:: self.every]:
                path = Path(scratch) / f"{layer}.onnx"
                break_scale(sound, layer, path, self.factor)
                self._row(layer, path)

    def _row(self, name: str, artifact: Path) -> None:
        checked = Run(self.folder).verify("onnx", artifact=artifact)
        print(
            f"| {name} | {100 * checked.found.accuracy:.2f} | {'; '.join(checked.faults) or 'as promised'} |",
            flush=True,
        )


def break_scale(artifact: Path, layer: str, broken: Path, factor: float) -> None:
    """Write an ONNX file like another, but for the scale of the weights of one layer."""
    model = onnx.load(artifact)
    node = next(node for node in model.graph.node if node.name == layer)
    dequantize = next(other for other in model.graph.node if node.input[1] in other.output)
    tensors = {item.name: item for item in model.graph.initializer}
    for other in model.graph.node:
        if other.op_type == "Constant":
            tensors[other.output[0]] = other.attribute[0].t
    scale = tensors[dequantize.input[1]]
    changed = (factor * numpy_helper.to_array(scale)).astype(np.float32)
    scale.CopyFrom(numpy_helper.from_array(changed, scale.name))
    onnx.save(model, broken)


if __name__ == "__main__":
    tyro.cli(Broken).run()
