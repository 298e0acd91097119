"""OpenVINO on this machine's processor, reading the same ONNX files as ONNX Runtime."""

from __future__ import annotations

import time
from collections.abc import Sequence
from functools import cached_property
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from sartor.errors import UsageError
from sartor.machine import Float32Array, require
from sartor.targets._exporting import running
from sartor.targets._onnx_target import OnnxTarget, processor
from sartor.targets._random_inputs import random_inputs


class OpenVinoTarget(OnnxTarget):
    """fp32 for what is not quantized, int8 in any mix of layers.

    Attributes:
        precision: What OpenVINO calls the numbers it computes with where nothing is quantized.
    """

    name = "openvino"
    summary = "OpenVINO on this machine's processor"
    formats = ("openvino",)
    precision: ClassVar[str] = "f32"

    def __init__(self, threads: int = 1, batch: int = 1) -> None:
        self._runtime: Any = require("openvino", extra="openvino")
        version = self._runtime.__version__.partition("-")[0]
        super().__init__(threads, batch, f"openvino {version} ({self.precision})")

    def load(self, artifact: Path, *, threads: int | None = None) -> OpenVinoSession:
        """A network compiled for latency when it is timed, for throughput when it is run."""
        settings: dict[str, int | str] = {
            "INFERENCE_NUM_THREADS": threads or self.threads,
            "INFERENCE_PRECISION_HINT": self.precision,
        }
        core = self._runtime.Core()
        with running(artifact, "openvino", "loaded"):
            model = core.read_model(str(artifact))

        return OpenVinoSession(artifact, core, model, settings, self.batch)


class OpenVinoBf16Target(OpenVinoTarget):
    """bf16 for what is not quantized, on processors that have it; int8 in any mix of layers."""

    name = "openvino-bf16"
    summary = "OpenVINO in bf16 on this machine's processor"
    precision = "bf16"

    def __init__(self, threads: int = 1, batch: int = 1) -> None:
        super().__init__(threads, batch)
        abilities = self._runtime.Core().get_property("CPU", "OPTIMIZATION_CAPABILITIES")
        if "BF16" not in abilities:
            raise UsageError(
                f"{processor()} has no bf16; openvino runs {', '.join(abilities)} on it"
            )


class OpenVinoSession:
    """A network, compiled when it is first needed."""

    def __init__(
        self, artifact: Path, core: Any, model: Any, settings: dict[str, int | str], timed: int
    ) -> None:
        self._artifact = artifact
        self._core = core
        self._model = model
        self._settings = settings

        first = model.inputs[0].partial_shape[0]
        self.batch: int | None = None
        if first.is_static:
            self.batch = first.get_length()

        rng = np.random.default_rng(0)
        self._fixed: list[NDArray[Any]] = []
        for item in model.inputs:
            _, *sides = item.partial_shape
            lengths = [side.get_max_length() for side in sides]
            shape = [self.batch or timed, *lengths]
            whole = item.element_type.is_integral()
            self._fixed.append(random_inputs(shape, whole=whole, rng=rng))

    def run(self, inputs: Sequence[Float32Array]) -> list[Float32Array]:
        """All outputs."""
        request = self._batches
        with running(self._artifact, "openvino"):
            request.infer(list(inputs))
            return [np.array(tensor.data) for tensor in request.output_tensors]

    def seconds(self) -> float:
        """One run on random numbers."""
        request = self._fixed_batch
        with running(self._artifact, "openvino"):
            started = time.perf_counter()
            request.infer(self._fixed)
            return time.perf_counter() - started

    @cached_property
    def _batches(self) -> Any:
        return self._compile(self._model, "THROUGHPUT")

    @cached_property
    def _fixed_batch(self) -> Any:
        # read anew: the model that was loaded keeps its open batch size
        with running(self._artifact, "openvino", "compiled"):
            fixed = self._core.read_model(str(self._artifact))
            shapes = {}
            for item, numbers in zip(fixed.inputs, self._fixed, strict=True):
                shapes[item.any_name] = list(numbers.shape)
            fixed.reshape(shapes)

        return self._compile(fixed, "LATENCY")

    def _compile(self, model: Any, hint: str) -> Any:
        settings = {**self._settings, "PERFORMANCE_HINT": hint}
        with running(self._artifact, "openvino", "compiled"):
            compiled = self._core.compile_model(model, "CPU", settings)
            return compiled.create_infer_request()
