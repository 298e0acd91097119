"""OpenVINO on a board, reading ONNX files."""

from __future__ import annotations

import time
from collections.abc import Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

from sartor.targets.boards.agent._inputs import random_input
from sartor.targets.boards.agent._runtime import Runtime


class OpenVino(Runtime):
    """On the processor, with the settings that sartor gives it on the machine it runs on."""

    package = "openvino"
    least = (2025, 0)

    def version(self) -> str:
        """As the package says, without the build."""
        import openvino

        return str(openvino.__version__).partition("-")[0]

    def load(self, path: Path, threads: int, timed: int) -> OpenVinoNetwork:
        """It is compiled when it is first needed."""
        import openvino

        settings = {"INFERENCE_NUM_THREADS": threads, "INFERENCE_PRECISION_HINT": "f32"}
        # as bytes: OpenVINO tells formats by how names end, and kept files have no suffix
        content = path.read_bytes()
        return OpenVinoNetwork(openvino.Core(), content, settings, timed)


class OpenVinoNetwork:
    """A network, compiled for throughput when it is run and for latency when it is timed."""

    def __init__(self, core: Any, content: bytes, settings: dict[str, Any], timed: int) -> None:
        self._core = core
        self._content = content
        self._settings = settings

        inputs = core.read_model(content).inputs
        first = inputs[0].partial_shape[0]
        self.batch: int | None = first.get_length() if first.is_static else None
        self._fixed = []
        for item in inputs:
            _, *sides = item.partial_shape
            shape = [self.batch or timed]
            shape += [side.get_max_length() for side in sides]
            self._fixed.append(random_input(shape, whole=item.element_type.is_integral()))

    def run(self, inputs: Sequence[Any]) -> list[Any]:
        """All outputs."""
        request = self._batches
        request.infer(list(inputs))
        return [tensor.data.copy() for tensor in request.output_tensors]

    def seconds(self) -> float:
        """Of one run on random numbers."""
        request = self._fixed_batch
        started = time.perf_counter()
        request.infer(self._fixed)
        return time.perf_counter() - started

    @cached_property
    def _batches(self) -> Any:
        return self._compile(self._core.read_model(self._content), "THROUGHPUT")

    @cached_property
    def _fixed_batch(self) -> Any:
        model = self._core.read_model(self._content)
        shapes = {}
        for item, numbers in zip(model.inputs, self._fixed, strict=True):
            shapes[item.any_name] = list(numbers.shape)
        model.reshape(shapes)
        return self._compile(model, "LATENCY")

    def _compile(self, model: Any, hint: str) -> Any:
        settings = {**self._settings, "PERFORMANCE_HINT": hint}
        return self._core.compile_model(model, "CPU", settings).create_infer_request()
