"""Rows of the original in int8, as a peer or sartor rounds it, run in onnxruntime.

No command of its own: peers.py imports it.
"""

from __future__ import annotations

import shutil
import tempfile
import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

import numpy as np

from _common import accuracy
from _peer_rows import Cell, Rows
from _peers import NNCF, ONNXRUNTIME, Peer
from sartor import targets
from sartor.compression import fold, quantize
from sartor.data import Images
from sartor.policy import Policy

#: Rows of peers that round.
QUANTIZERS = {
    "NNCF": (NNCF, "default"),
    "onnxruntime, MinMax": (ONNXRUNTIME, "MinMax"),
    "onnxruntime, Percentile": (ONNXRUNTIME, "Percentile"),
}
BATCH = 250
#: Writes an ONNX file; what that took, and who did it.
Write = Callable[[Path], tuple[float, str]]


class Rounded(Rows):
    """Without labels, all layers."""

    kind = "rounded"

    def rows(self) -> Iterator[tuple[str, Callable[[], Cell]]]:
        for name, write in self._writers():
            yield name, partial(self._measure, write)

    def _writers(self) -> Iterator[tuple[str, Write]]:
        yield "original, fp32", self._write_original
        yield "sartor, int8", self._write_int8
        for name, (peer, method) in QUANTIZERS.items():
            yield name, partial(self._write_by, peer, method)

    def _measure(self, write: Write) -> Cell:
        data = self.bench.data
        assert data.test is not None
        with tempfile.TemporaryDirectory() as scratch:
            path = Path(scratch) / "network.onnx"
            seconds, version = write(path)
            found = [_accuracy_of(path, images) for images in (data.validation, data.test)]
            deployed = self.bench.deployed(path)
        return {"version": version, "seconds": seconds, "accuracy": found, **deployed}

    def _write_original(self, path: Path) -> tuple[float, str]:
        network = self.bench.network
        started = time.perf_counter()
        self.bench.export(network.module, path)
        return time.perf_counter() - started, "sartor"

    def _write_int8(self, path: Path) -> tuple[float, str]:
        network = self.bench.network
        bits = dict.fromkeys([layer.name for layer in network.layers], 8)
        policy = Policy(weight_bits=bits, activation_bits=bits)
        scheme = targets.make("onnxruntime").scheme
        images = self.bench.calibration[: self.options.rounded]
        started = time.perf_counter()
        rounded = quantize(fold(network.module), policy, (images,), scheme)
        self.bench.export(rounded, path)
        return time.perf_counter() - started, "sartor"

    def _write_by(self, peer: Peer, method: str, path: Path) -> tuple[float, str]:
        """Raises `RefusedError`."""
        with tempfile.TemporaryDirectory() as scratch:
            job = self.job(method, Path(scratch), self.options.rounded)
            answer = self.ask(peer, job)
            shutil.copy(job.onnx_file, path)
        return answer["seconds"], answer["version"]


def _accuracy_of(artifact: Path, images: Images) -> float:
    """Top-1 of an ONNX file in onnxruntime, in percent."""
    session = targets.make("onnxruntime").load(artifact)
    outputs = [session.run([part.numpy()])[0] for part in images.normalized().split(BATCH)]
    return accuracy(np.concatenate(outputs), images.labels.numpy())
