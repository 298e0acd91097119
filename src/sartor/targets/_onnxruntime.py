"""ONNX Runtime on this machine's processor."""

from __future__ import annotations

import json
import platform
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from torch import Tensor, fx

from sartor._optional import require
from sartor.errors import RunError
from sartor.policy import FULL_WIDTH
from sartor.targets._base import Description, FloatArray, Support, Target
from sartor.targets._onnx import write_onnx

_PRECISIONS = ((FULL_WIDTH, FULL_WIDTH), (8, 8))


class OnnxRuntimeTarget(Target):
    """fp32 and int8 (weights symmetric int8 per channel, activations uint8), in any mix of layers."""

    name = "onnxruntime"
    suffix = ".onnx"

    def __init__(self, threads: int = 1) -> None:
        self.threads = threads
        self._runtime: Any = require("onnxruntime", extra="onnxruntime")

    def describe(self) -> Description:
        """The processor here."""
        support = Support(_PRECISIONS)
        runtime = f"onnxruntime {self._runtime.__version__}"
        return Description(
            self.name, processor(), runtime, self.threads, {"conv": support, "linear": support, "depthwise": support}
        )

    def build(self, network: fx.GraphModule, inputs: Sequence[Tensor], path: Path) -> Path:
        """An ONNX file with a free batch size."""
        return write_onnx(network, inputs, path, dynamic_batch=True)

    def load(self, artifact: Path) -> OnnxRuntimeSession:
        """A session with pinned threads and no spinning between runs."""
        return OnnxRuntimeSession(self._runtime, artifact, self.threads)

    def profile(self, artifact: Path, runs: int = 50) -> dict[str, float]:
        """Mean seconds per run of every node of the optimised graph, by node name, from the runtime's own profiler."""
        with tempfile.TemporaryDirectory() as folder:
            session = OnnxRuntimeSession(self._runtime, artifact, self.threads, profile=Path(folder) / "profile")
            for _ in range(runs):
                session.seconds()
            events = json.loads(Path(session.session.end_profiling()).read_text(encoding="utf-8"))
        nodes: dict[str, list[float]] = {}
        for event in events:
            if event.get("cat") == "Node" and event["name"].endswith("_kernel_time"):
                nodes.setdefault(event["name"].removesuffix("_kernel_time"), []).append(event["dur"] * 1e-6)
        return {name: float(np.mean(times[len(times) // 5 :])) for name, times in nodes.items()}


class OnnxRuntimeSession:
    """A loaded ONNX file."""

    def __init__(self, runtime: Any, artifact: Path, threads: int, profile: Path | None = None) -> None:
        options = runtime.SessionOptions()
        options.intra_op_num_threads, options.inter_op_num_threads = threads, 1
        options.log_severity_level = 3
        options.add_session_config_entry("session.intra_op.allow_spinning", "1" if threads == 1 else "0")
        if profile is not None:
            options.enable_profiling, options.profile_file_prefix = True, str(profile)
        try:
            self.session = runtime.InferenceSession(str(artifact), options, providers=["CPUExecutionProvider"])
        except Exception as error:
            raise RunError(f"{artifact} cannot be loaded by onnxruntime: {error}") from error
        self._names = [item.name for item in self.session.get_inputs()]
        shapes = [[size if isinstance(size, int) else 1 for size in item.shape] for item in self.session.get_inputs()]
        rng = np.random.default_rng(0)
        self._fixed = {
            name: rng.standard_normal(shape).astype(np.float32) for name, shape in zip(self._names, shapes, strict=True)
        }

    def run(self, inputs: Sequence[FloatArray]) -> list[FloatArray]:
        """All outputs."""
        outputs: list[FloatArray] = self.session.run(None, dict(zip(self._names, inputs, strict=True)))
        return outputs

    def seconds(self) -> float:
        """One run on random numbers."""
        started = time.perf_counter()
        self.session.run(None, self._fixed)
        return time.perf_counter() - started


def processor() -> str:
    """Name of this machine's processor."""
    path = Path("/proc/cpuinfo")
    if path.exists():
        for line in path.read_text(encoding="utf-8").splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor() or platform.machine()
