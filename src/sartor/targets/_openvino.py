"""OpenVINO on this machine's processor, reading the same ONNX files as ONNX Runtime."""

from __future__ import annotations

import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal

import numpy as np
from torch import Tensor, fx

from sartor._optional import require
from sartor.errors import RunError
from sartor.policy import FULL_WIDTH
from sartor.targets._base import Description, FloatArray, Support, Target
from sartor.targets._onnx import write_onnx
from sartor.targets._onnxruntime import processor

_PRECISIONS = ((FULL_WIDTH, FULL_WIDTH), (8, 8))


class OpenVinoTarget(Target):
    """fp32 or bf16 for what is not quantized, int8 in any mix of layers."""

    name = "openvino"
    suffix = ".onnx"

    def __init__(self, threads: int = 1, precision: Literal["f32", "bf16"] = "f32") -> None:
        self.threads, self.precision = threads, precision
        self._runtime: Any = require("openvino", extra="openvino")

    def describe(self) -> Description:
        """The processor here."""
        support = Support(_PRECISIONS)
        runtime = f"openvino {self._runtime.__version__.partition('-')[0]} ({self.precision})"
        return Description(
            self.name, processor(), runtime, self.threads, {"conv": support, "linear": support, "depthwise": support}
        )

    def build(self, network: fx.GraphModule, inputs: Sequence[Tensor], path: Path) -> Path:
        """An ONNX file with a batch of one."""
        return write_onnx(network, inputs, path)

    def load(self, artifact: Path) -> OpenVinoSession:
        """A network compiled for latency."""
        return OpenVinoSession(self._runtime, artifact, self.threads, self.precision)


class OpenVinoSession:
    """A compiled network."""

    def __init__(self, runtime: Any, artifact: Path, threads: int, precision: str) -> None:
        settings = {
            "INFERENCE_NUM_THREADS": threads,
            "INFERENCE_PRECISION_HINT": precision,
            "PERFORMANCE_HINT": "LATENCY",
        }
        try:
            model = runtime.Core().read_model(str(artifact))
            self._request = runtime.Core().compile_model(model, "CPU", settings).create_infer_request()
        except Exception as error:
            raise RunError(f"{artifact} cannot be loaded by openvino: {error}") from error
        shapes = [tuple(item.get_partial_shape().get_max_shape()) for item in model.inputs]
        rng = np.random.default_rng(0)
        self._fixed = [rng.standard_normal([1, *shape[1:]]).astype(np.float32) for shape in shapes]

    def run(self, inputs: Sequence[FloatArray]) -> list[FloatArray]:
        """All outputs; batches are run image by image where the artifact has a batch of one."""
        rows = []
        for index in range(len(inputs[0])):
            self._request.infer([item[index : index + 1] for item in inputs])
            rows.append([np.array(tensor.data) for tensor in self._request.output_tensors])
        return [np.concatenate(column) for column in zip(*rows, strict=True)]

    def seconds(self) -> float:
        """One run on random numbers."""
        started = time.perf_counter()
        self._request.infer(self._fixed)
        return time.perf_counter() - started
