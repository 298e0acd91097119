"""Artifacts that were broken on purpose: one layer's scale is changed, and it must be told which.

    sartor search --model resnet20 … --methods quantize --target onnxruntime --out runs/a
    python bench/broken.py runs/a

The sound artifact comes first; `sartor verify` must find nothing in it.
"""

from __future__ import annotations

import tempfile
from dataclasses import dataclass
from pathlib import Path

import tyro

from sartor.runs import Run
from sartor.testing import break_scale


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


if __name__ == "__main__":
    tyro.cli(Broken).run()
