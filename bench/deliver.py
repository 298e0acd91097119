"""Everything a finished run can be exported to, reloaded where nothing is known of sartor.

    sartor search --model resnet20 … --methods prune,quantize --target onnxruntime --out runs/a
    python bench/deliver.py runs/a

Each artifact runs in a process of its own (bench/_stranger.py). Outputs and accuracy are compared
with the network in PyTorch on the test images.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import tyro
from numpy.typing import NDArray

from _common import accuracy, outputs_of, print_header, print_row
from sartor.export import FORMATS, find_format
from sartor.runs import Run

STRANGER = Path(__file__).with_name("_stranger.py")
BATCH = 100
#: Files of a saved network.
SAVED = ("model.safetensors", "policy.json", "network.json")


@dataclass(frozen=True)
class Deliver:
    """Export, reload, compare.

    Attributes:
        folder: Of the run.
        images: Test images that are compared.
    """

    folder: tyro.conf.Positional[Path]
    images: int = 5000

    def run(self) -> None:
        """Print a table."""
        run = Run(self.folder)
        data = run.subject().data
        assert data is not None
        assert data.test is not None
        test = data.test.slice(0, self.images)
        pixels = test.normalized()
        labels = test.labels.numpy()
        simulated = outputs_of(run.load(), pixels, BATCH)
        right = accuracy(simulated, labels)
        delivered = run.latest.folder

        print(f"{delivered}, {run.config.model}: simulated accuracy {right:.2f} % on", end=" ")
        print(f"{len(labels):,} test images\n")
        print_header(
            "artifact",
            "accuracy (difference)",
            "same answers",
            "outputs differ by",
            "latency, ms",
            "bytes",
            "peak memory",
        )
        with tempfile.TemporaryDirectory() as scratch:
            images = Path(scratch) / "images.npy"
            np.save(images, pixels.numpy())
            artifacts = {form: run.export(form, batch=_batch(form)) for form in FORMATS}
            for form, artifact in {"folder": delivered, **artifacts}.items():
                found, outputs = _run_elsewhere(form, artifact.resolve(), images)
                reached = accuracy(outputs, labels)
                same = accuracy(outputs, simulated.argmax(1))
                furthest = np.abs(outputs - simulated).max() / np.abs(simulated).max()
                print_row(
                    form,
                    f"{reached:.2f} ({reached - right:+.2f})",
                    f"{same:.2f} %",
                    f"{furthest:.1e}",
                    f"{found['milliseconds']:.3f}",
                    f"{_size(form, artifact):,}",
                    f"{found['memory']:,}",
                )


def _batch(form: str) -> int | None:
    """Images that an artifact runs at a time; None for any number."""
    return None if find_format(form).dynamic else 1


def _run_elsewhere(
    form: str, artifact: Path, images: Path
) -> tuple[dict[str, Any], NDArray[np.float32]]:
    """What the stranger said, and the outputs."""
    outputs = images.with_name("outputs.npy")
    command = [sys.executable, str(STRANGER), form, str(artifact), str(images), str(outputs)]
    done = subprocess.run(command, capture_output=True, text=True, check=False, cwd=images.parent)
    if done.returncode:
        raise SystemExit(f"{artifact} cannot be run elsewhere: {done.stderr[-2000:]}")
    found: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    assert form == "folder" or not found["classes"]
    return found, np.load(outputs)


def _size(form: str, artifact: Path) -> int:
    """Bytes of all files of an artifact."""
    if form != "folder":
        return find_format(form).size_bytes(artifact)
    return sum((artifact / name).stat().st_size for name in SAVED)


if __name__ == "__main__":
    tyro.cli(Deliver).run()
