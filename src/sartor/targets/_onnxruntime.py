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
from numpy.typing import NDArray

from sartor.machine import Float32Array, require
from sartor.targets._exporting import running
from sartor.targets._onnx_names import BIASED, CLIPPED
from sartor.targets._onnx_target import OnnxTarget
from sartor.targets._random_inputs import random_inputs

_PROFILED_RUNS = 50
#: Only what ends the process is printed: everything else is raised.
_FATAL = 4
_KERNEL = "_kernel_time"
#: What the optimiser adds to the name of a layer whose kernel it replaces.
_ADDED = re.compile(rf"({CLIPPED}|{BIASED})?(_nchwc)?(_token_\d+)?{_KERNEL}$")


class OnnxRuntimeTarget(OnnxTarget):
    """fp32 and int8 in any mix of layers.

    Weights are symmetric int8 per channel, activations uint8.
    """

    name = "onnxruntime"
    summary = "ONNX Runtime on this machine's processor"
    profiles = True
    formats = ("onnx",)

    def __init__(self, threads: int = 1, batch: int = 1) -> None:
        self._runtime: Any = require("onnxruntime", extra="onnxruntime")
        super().__init__(threads, batch, f"onnxruntime {self._runtime.__version__}")

    def load(self, artifact: Path, *, threads: int | None = None) -> OnnxRuntimeSession:
        """A session on the processor; several threads sleep between runs, a single one may spin."""
        options = self._options(threads or self.threads)
        return OnnxRuntimeSession.open(self._runtime, artifact, options, self.batch)

    def profile(self, artifact: Path) -> dict[str, float]:
        """Median seconds of every layer, and of all other nodes of the optimised graph."""
        layers: dict[str, float] = {}
        times_by_node = _node_times(self._events(artifact))
        for node, times in times_by_node.items():
            layer = _ADDED.sub("", node)
            seconds = float(np.median(times))
            # a layer may be several nodes: itself, its bias, its clipping
            layers[layer] = layers.get(layer, 0.0) + seconds
        return layers

    def _events(self, artifact: Path) -> list[dict[str, Any]]:
        """What the profiler writes of some runs."""
        options = self._options(self.threads)
        options.enable_profiling = True
        with tempfile.TemporaryDirectory() as folder:
            prefix = Path(folder) / "profile"
            options.profile_file_prefix = str(prefix)
            session = OnnxRuntimeSession.open(self._runtime, artifact, options, self.batch)
            for _ in range(_PROFILED_RUNS):
                session.seconds()

            written = Path(session.session.end_profiling())
            text = written.read_text(encoding="utf-8")

        events: list[dict[str, Any]] = json.loads(text)
        return events

    def _options(self, threads: int) -> Any:
        options = self._runtime.SessionOptions()
        options.intra_op_num_threads = threads
        options.inter_op_num_threads = 1
        options.log_severity_level = _FATAL
        spins = "1" if threads == 1 else "0"
        options.add_session_config_entry("session.intra_op.allow_spinning", spins)
        return options


class OnnxRuntimeSession:
    """A loaded ONNX file; made by `open`."""

    def __init__(self, artifact: Path, session: Any, timed: int) -> None:
        self.session = session
        self._artifact = artifact
        inputs = session.get_inputs()
        self._names = [item.name for item in inputs]

        # sizes that are left open have names, not numbers
        first = inputs[0].shape[0]
        self.batch: int | None = None
        if isinstance(first, int):
            self.batch = first

        rng = np.random.default_rng(0)
        self._fixed: dict[str, NDArray[Any]] = {}
        for item in inputs:
            _, *sides = item.shape
            shape = [self.batch or timed]
            shape += [side if isinstance(side, int) else 1 for side in sides]
            whole = "int" in item.type
            self._fixed[item.name] = random_inputs(shape, whole=whole, rng=rng)

    @classmethod
    def open(cls, runtime: Any, artifact: Path, options: Any, timed: int) -> OnnxRuntimeSession:
        """Load a file; it is timed with so many images, if it takes any number.

        Raises `RunError` with what the runtime says if it cannot be loaded.
        """
        with running(artifact, OnnxRuntimeTarget.name, "loaded"):
            session = runtime.InferenceSession(
                str(artifact),
                options,
                providers=["CPUExecutionProvider"],
            )
        return cls(artifact, session, timed)

    def run(self, inputs: Sequence[Float32Array]) -> list[Float32Array]:
        """All outputs."""
        given = dict(zip(self._names, inputs, strict=True))
        with running(self._artifact, OnnxRuntimeTarget.name):
            outputs: list[Float32Array] = self.session.run(None, given)
        return outputs

    def seconds(self) -> float:
        """One run on random numbers."""
        with running(self._artifact, OnnxRuntimeTarget.name):
            started = time.perf_counter()
            self.session.run(None, self._fixed)
            return time.perf_counter() - started


def _node_times(events: list[dict[str, Any]]) -> dict[str, list[float]]:
    """Seconds of every run of a node's kernel, by what the profiler calls it."""
    nodes: dict[str, list[float]] = {}
    for event in events:
        name: str = event["name"]
        if event.get("cat") != "Node" or not name.endswith(_KERNEL):
            continue

        microseconds = event["dur"]
        times = nodes.setdefault(name, [])
        times.append(microseconds * 1e-6)
    return nodes
