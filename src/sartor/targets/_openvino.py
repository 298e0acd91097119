"""OpenVINO on this machine's processor, reading the same ONNX files as ONNX Runtime."""

from __future__ import annotations

import time
from collections.abc import Sequence
from functools import cached_property
from pathlib import Path
from typing import Any, ClassVar

import numpy as np

from sartor.errors import RunError, UsageError
from sartor.machine import Float32Array, require
from sartor.targets._onnx import OnnxTarget, processor


class OpenVinoTarget(OnnxTarget):
    """fp32 for what is not quantized, int8 in any mix of layers."""

    name = "openvino"
    summary = "OpenVINO on this machine's processor"
    formats = ("openvino",)
    #: What OpenVINO calls the numbers it computes with where nothing is quantized.
    precision: ClassVar[str] = "f32"

    def __init__(self, threads: int = 1) -> None:
        self._runtime: Any = require("openvino", extra="openvino")
        version = self._runtime.__version__.partition("-")[0]
        super().__init__(threads, f"openvino {version} ({self.precision})")

    def load(self, artifact: Path, *, threads: int | None = None) -> OpenVinoSession:
        """A network compiled for latency when it is timed, for throughput when it is run."""
        return OpenVinoSession(self._runtime, artifact, threads or self.threads, self.precision)


class OpenVinoBf16Target(OpenVinoTarget):
    """bf16 for what is not quantized, on processors that have it; int8 in any mix of layers."""

    name = "openvino-bf16"
    summary = "OpenVINO in bf16 on this machine's processor"
    precision = "bf16"

    def __init__(self, threads: int = 1) -> None:
        super().__init__(threads)
        abilities = self._runtime.Core().get_property("CPU", "OPTIMIZATION_CAPABILITIES")
        if "BF16" not in abilities:
            raise UsageError(
                f"{processor()} has no bf16; openvino runs {', '.join(abilities)} on it"
            )


class OpenVinoSession:
    """A network, compiled when it is first needed."""

    def __init__(self, runtime: Any, artifact: Path, threads: int, precision: str) -> None:
        self._artifact, self._core = artifact, runtime.Core()
        self._settings = {"INFERENCE_NUM_THREADS": threads, "INFERENCE_PRECISION_HINT": precision}
        try:
            self._model = self._core.read_model(str(artifact))
        except Exception as error:
            raise RunError(f"{artifact} cannot be loaded by openvino: {error}") from error
        first = self._model.inputs[0].partial_shape[0]
        self.batch: int | None = first.get_length() if first.is_static else None
        rest = [
            [side.get_max_length() for side in list(item.partial_shape)[1:]]
            for item in self._model.inputs
        ]
        shapes = [[self.batch or 1, *sides] for sides in rest]
        rng = np.random.default_rng(0)
        self._fixed = [rng.standard_normal(shape).astype(np.float32) for shape in shapes]

    def run(self, inputs: Sequence[Float32Array]) -> list[Float32Array]:
        """All outputs."""
        self._batches.infer(list(inputs))
        return [np.array(tensor.data) for tensor in self._batches.output_tensors]

    def seconds(self) -> float:
        """One run on random numbers."""
        request = self._single
        started = time.perf_counter()
        request.infer(self._fixed)
        return time.perf_counter() - started

    @cached_property
    def _batches(self) -> Any:
        return self._compile(self._model, "THROUGHPUT")

    @cached_property
    def _single(self) -> Any:
        single = self._core.read_model(str(self._artifact))
        single.reshape(
            {
                item.any_name: list(fixed.shape)
                for item, fixed in zip(single.inputs, self._fixed, strict=True)
            }
        )
        return self._compile(single, "LATENCY")

    def _compile(self, model: Any, hint: str) -> Any:
        try:
            return self._core.compile_model(
                model, "CPU", {**self._settings, "PERFORMANCE_HINT": hint}
            ).create_infer_request()
        except Exception as error:
            raise RunError(f"{self._artifact} cannot be compiled by openvino: {error}") from error
