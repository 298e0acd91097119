"""Everything a finished run can be exported to, each reloaded by a process that knows nothing of sartor.

    sartor search --model resnet20 … --methods prune,quantize --target onnxruntime --out runs/a
    python bench/deliver.py runs/a

Outputs and accuracy are compared with the network in PyTorch on the test images.
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
import torch
import tyro

from sartor.export import FORMATS, find_format
from sartor.runs import Run

STRANGER = Path(__file__).with_name("_stranger.py")
BATCH = 100


@dataclass(frozen=True)
class Deliver:
    """Export, reload, compare."""

    folder: tyro.conf.Positional[Path]
    images: int = 5000

    def run(self) -> None:
        """Print a table."""
        run = Run(self.folder)
        subject = run.subject()
        assert subject.data is not None
        assert subject.data.test is not None
        test = subject.data.test.slice(0, self.images)
        pixels, labels, network = test.normalized(), test.labels.numpy(), run.load()
        with torch.no_grad():
            simulated = np.concatenate([network(part).numpy() for part in pixels.split(BATCH)])
        right = 100 * float((simulated.argmax(1) == labels).mean())
        print(
            f"{run.latest.folder}, {run.config.model}: simulated accuracy {right:.2f} % on {len(labels):,} test images\n"
        )
        print(
            "| artifact | accuracy (difference) | same answers | outputs differ by | latency, ms | bytes | peak memory |"
        )
        print("|---|---|---|---|---|---|---|")
        with tempfile.TemporaryDirectory() as scratch:
            images = Path(scratch) / "images.npy"
            np.save(images, pixels.numpy())
            artifacts = {form: run.export(form, batch=_batch(form)) for form in FORMATS}
            for form, artifact in (("folder", run.latest.folder), *artifacts.items()):
                told, outputs = _stranger(
                    form, artifact.resolve(), images, Path(scratch) / "outputs.npy"
                )
                accuracy = 100 * float((outputs.argmax(1) == labels).mean())
                same = 100 * float((outputs.argmax(1) == simulated.argmax(1)).mean())
                far = float(np.abs(outputs - simulated).max() / np.abs(simulated).max())
                cells = f"{accuracy:.2f} ({accuracy - right:+.2f}) | {same:.2f} % | {far:.1e} | {told['milliseconds']:.3f}"
                print(
                    f"| {form} | {cells} | {_size(artifact):,} | {told['memory']:,} |", flush=True
                )


def _batch(form: str) -> int | None:
    return None if find_format(form).dynamic else 1


def _stranger(
    form: str, artifact: Path, images: Path, outputs: Path
) -> tuple[dict[str, Any], np.ndarray]:
    words = [sys.executable, str(STRANGER), form, str(artifact), str(images), str(outputs)]
    done = subprocess.run(words, capture_output=True, text=True, check=False, cwd=images.parent)
    if done.returncode:
        raise SystemExit(f"{artifact} cannot be run elsewhere: {done.stderr[-2000:]}")
    told: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    assert form == "folder" or not told["classes"]
    return told, np.load(outputs)


def _size(artifact: Path) -> int:
    if artifact.is_dir():
        return sum(
            (artifact / name).stat().st_size
            for name in ("model.safetensors", "policy.json", "network.json")
        )
    beside = artifact.with_suffix(".bin")
    return artifact.stat().st_size + (beside.stat().st_size if artifact.suffix == ".xml" else 0)


if __name__ == "__main__":
    tyro.cli(Deliver).run()
