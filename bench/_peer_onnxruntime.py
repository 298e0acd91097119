"""Quantizes an ONNX file to int8 by onnxruntime's own tool, after training.

A worker: peers.py runs it in an environment that has onnxruntime and onnx. Weights are int8 for
each channel, activations uint8; the method is how their ranges are found.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnxruntime.quantization import (
    CalibrationDataReader,
    CalibrationMethod,
    QuantFormat,
    QuantType,
    quantize_static,
)
from onnxruntime.quantization.shape_inference import quant_pre_process

from _peer_job import Job, one_by_one


class Reader(CalibrationDataReader):  # type: ignore[misc] # onnxruntime has no types
    """Images one after the other."""

    def __init__(self, name: str, images: Sequence[NDArray[np.float32]]) -> None:
        self._name = name
        self._images = iter(images)

    def get_next(self) -> dict[str, Any] | None:
        """The next image; None after the last."""
        image = next(self._images, None)
        return None if image is None else {self._name: image}


def main() -> None:
    """Quantize and hand over."""
    job = Job.read()
    name = onnx.load(job.onnx).graph.input[0].name
    images = one_by_one(job.arrays()["calibration"])
    started = time.perf_counter()
    prepared = Path(job.folder) / "prepared.onnx"
    quant_pre_process(job.onnx, prepared)
    quantize_static(
        prepared,
        job.onnx_file,
        Reader(name, images),
        quant_format=QuantFormat.QDQ,
        per_channel=True,
        activation_type=QuantType.QUInt8,
        weight_type=QuantType.QInt8,
        calibrate_method=CalibrationMethod[job.method],
    )
    job.answer("onnxruntime", time.perf_counter() - started)


if __name__ == "__main__":
    main()
