"""Artifacts that were broken on purpose: one layer's scale is changed, and it must be told which.

    sartor search --model resnet20 … --methods quantize --target onnxruntime --out runs/a
    python bench/broken.py runs/a

The sound artifact comes first; `sartor verify` must find nothing in it.
"""

from __future__ import annotations

import tempfile
from dataclasses import dataclass
from pathlib import Path

import onnx
import tyro
from onnx import numpy_helper

from sartor.deliver import run_export, run_verify
from sartor.storage import read_policy


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
        policy, sound = read_policy(self.folder), run_export(self.folder, "onnx", batch=None)
        print("| broken | accuracy | what verify says |\n|---|---|---|")
        self._row("none", sound)
        with tempfile.TemporaryDirectory() as scratch:
            for layer in [name for name, bits in policy.weight_bits.items() if bits < 32][:: self.every]:
                path = Path(scratch) / f"{layer}.onnx"
                onnx.save(scaled(onnx.load(sound), layer, self.factor), path)
                self._row(layer, path)

    def _row(self, name: str, artifact: Path) -> None:
        found, faults, _ = run_verify(self.folder, "onnx", artifact=artifact)
        print(f"| {name} | {100 * found.accuracy:.2f} | {'; '.join(faults) or 'as promised'} |", flush=True)


def scaled(model: onnx.ModelProto, layer: str, factor: float) -> onnx.ModelProto:
    """The same graph, but what dequantizes the weights of a layer has another scale."""
    node = next(node for node in model.graph.node if node.name == layer)
    dequantize = next(other for other in model.graph.node if node.input[1] in other.output)
    tensors = {item.name: item for item in model.graph.initializer}
    tensors |= {item.output[0]: item.attribute[0].t for item in model.graph.node if item.op_type == "Constant"}
    scale = tensors[dequantize.input[1]]
    scale.CopyFrom(numpy_helper.from_array((factor * numpy_helper.to_array(scale)).astype("float32"), scale.name))
    return model


if __name__ == "__main__":
    tyro.cli(Broken).run()
