"""ONNX Runtime on this machine's processor."""

from __future__ import annotations

import json
import re
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from sartor.errors import RunError
from sartor.machine import Float32Array, require
from sartor.targets._onnx import BIASED, CLIPPED, OnnxTarget

_PROFILED_RUNS = 50
#: What the optimiser adds to the name of a layer whose kernel it replaces.
_LAYER_OF = re.compile(rf"({CLIPPED}|{BIASED})?(_nchwc)?(_token_\d+)?_kernel_time$")


class OnnxRuntimeTarget(OnnxTarget):
    """fp32 and int8 (weights symmetric int8 per channel, activations uint8), in any mix of layers."""

    name = "onnxruntime"
    summary = "ONNX Runtime on this machine's processor"
    profiles = True
    formats = ("onnx",)

    def __init__(self, threads: int = 1) -> None:
        self._runtime: Any = require("onnxruntime", extra="onnxruntime")
        super().__init__(threads, f"onnxruntime {self._runtime.__version__}")

    def load(self, artifact: Path, *, threads: int | None = None) -> OnnxRuntimeSession:
        """A session with pinned threads and no spinning between runs."""
        return OnnxRuntimeSession(self._runtime, artifact, threads or self.threads)

    def profile(self, artifact: Path) -> dict[str, float]:
        """Median seconds of every layer, and of all other nodes of the optimised graph by their own names."""
        with tempfile.TemporaryDirectory() as folder:
            session = OnnxRuntimeSession(
                self._runtime, artifact, self.threads, profile=Path(folder) / "profile"
            )
            for _ in range(_PROFILED_RUNS):
                session.seconds()
            events = json.loads(Path(session.session.end_profiling()).read_text(encoding="utf-8"))
        nodes: dict[str, list[float]] = {}
        for event in events:
            if event.get("cat") == "Node" and event["name"].endswith("_kernel_time"):
                nodes.setdefault(event["name"], []).append(event["dur"] * 1e-6)
        layers: dict[str, float] = {}
        for name, times in nodes.items():
            layer = _LAYER_OF.sub("", name)
            layers[layer] = layers.get(layer, 0.0) + float(np.median(times))
        return layers


class OnnxRuntimeSession:
    """A loaded ONNX file."""

    def __init__(
        self, runtime: Any, artifact: Path, threads: int, profile: Path | None = None
    ) -> None:
        options = runtime.SessionOptions()
        options.intra_op_num_threads, options.inter_op_num_threads = threads, 1
        options.log_severity_level = 3
        options.add_session_config_entry(
            "session.intra_op.allow_spinning", "1" if threads == 1 else "0"
        )
        if profile is not None:
            options.enable_profiling, options.profile_file_prefix = True, str(profile)
        try:
            self.session = runtime.InferenceSession(
                str(artifact), options, providers=["CPUExecutionProvider"]
            )
        except Exception as error:
            raise RunError(f"{artifact} cannot be loaded by onnxruntime: {error}") from error
        self._names = [item.name for item in self.session.get_inputs()]
        first = self.session.get_inputs()[0].shape[0]
        self.batch: int | None = first if isinstance(first, int) else None
        shapes = [
            [size if isinstance(size, int) else 1 for size in item.shape]
            for item in self.session.get_inputs()
        ]
        rng = np.random.default_rng(0)
        self._fixed = {
            name: rng.standard_normal(shape).astype(np.float32)
            for name, shape in zip(self._names, shapes, strict=True)
        }

    def run(self, inputs: Sequence[Float32Array]) -> list[Float32Array]:
        """All outputs."""
        outputs: list[Float32Array] = self.session.run(
            None, dict(zip(self._names, inputs, strict=True))
        )
        return outputs

    def seconds(self) -> float:
        """One run on random numbers."""
        started = time.perf_counter()
        self.session.run(None, self._fixed)
        return time.perf_counter() - started
