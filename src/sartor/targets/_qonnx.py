"""QONNX files, executed node by node by the package qonnx."""

from __future__ import annotations

from collections.abc import Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any

from torch import Tensor, fx

from sartor.compression import DATAFLOW_EXACT, Scheme
from sartor.errors import UsageError
from sartor.machine import Float32Array, require
from sartor.policy import FULL_WIDTH
from sartor.targets._base import Description, Support, Target
from sartor.targets._batches import in_batches
from sartor.targets._exporting import running
from sartor.targets._onnx_target import processor
from sartor.targets._qonnx_file import write_qonnx


class QonnxTarget(Target):
    """What FINN reads, executed on this machine: outputs, no times of any device.

    Raises `MissingPackageError` if qonnx is not installed.
    """

    name = "qonnx"
    suffix = ".qonnx"
    summary = "executes QONNX"
    takes = ("batch",)
    formats = ("qonnx",)
    times = False

    def __init__(self, threads: int = 1, batch: int = 1) -> None:
        require("qonnx.core.modelwrapper", extra="qonnx")
        super().__init__(threads, batch)

    @property
    def scheme(self) -> Scheme:
        """That of engines of an FPGA."""
        return DATAFLOW_EXACT

    def describe(self) -> Description:
        """2 to 8 bits, and fp32 for what is not quantized."""
        pairs = [(FULL_WIDTH, FULL_WIDTH)]
        for weights in range(2, 9):
            for activations in range(2, 9):
                pairs.append((weights, activations))
        return Description(
            target=self.name,
            device=processor(),
            runtime=f"qonnx {version('qonnx')}",
            threads=self.threads,
            supports=Support.for_all_layers(pairs),
            measured=False,
            batch=self.batch,
        )

    def build(self, network: fx.GraphModule, inputs: Sequence[Tensor], path: Path) -> Path:
        """A QONNX file."""
        return write_qonnx(network, inputs, path)

    def load(self, artifact: Path, *, threads: int | None = None) -> QonnxSession:
        """The graph, tidied up as FINN does it first: constants folded, all shapes known."""
        wrapper = require("qonnx.core.modelwrapper", extra="qonnx")
        tidying = require("qonnx.util.cleanup", extra="qonnx")
        with running(artifact, self.name, "loaded"):
            model = tidying.cleanup_model(wrapper.ModelWrapper(str(artifact)))
        return QonnxSession(artifact, model)


class QonnxSession:
    """A graph that is executed node by node."""

    def __init__(self, artifact: Path, model: Any) -> None:
        self._artifact = artifact
        self._model = model
        names = [item.name for item in model.graph.input]
        stored = {item.name for item in model.graph.initializer}
        self._inputs = [name for name in names if name not in stored]
        self._outputs = [item.name for item in model.graph.output]
        first = model.get_tensor_shape(self._inputs[0])
        self.batch = int(first[0])

    def run(self, inputs: Sequence[Float32Array]) -> list[Float32Array]:
        """All outputs."""
        return in_batches(self._run, inputs, self.batch)

    def _run(self, inputs: Sequence[Float32Array]) -> list[Float32Array]:
        execution = require("qonnx.core.onnx_exec", extra="qonnx")
        given = dict(zip(self._inputs, inputs, strict=True))
        with running(self._artifact, QonnxTarget.name):
            found = execution.execute_onnx(self._model, given)
        return [found[name] for name in self._outputs]

    def seconds(self) -> float:
        """Refused: an interpreter's seconds say nothing of a device."""
        raise UsageError("the target qonnx executes files to check them; it times nothing")
