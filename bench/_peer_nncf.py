"""Quantizes an ONNX file to int8 by NNCF, after training.

A worker: peers.py runs it in an environment that has nncf. All else is its default.
"""

from __future__ import annotations

import time

import nncf
import onnx

from _peer_job import Job, one_by_one


def main() -> None:
    """Quantize and hand over."""
    job = Job.read()
    model = onnx.load(job.onnx)
    name = model.graph.input[0].name
    images = one_by_one(job.arrays()["calibration"])
    started = time.perf_counter()
    dataset = nncf.Dataset(images, lambda image: {name: image})
    quantized = nncf.quantize(model, dataset, subset_size=len(images))
    onnx.save(quantized, job.onnx_file)
    job.answer("nncf", time.perf_counter() - started)


if __name__ == "__main__":
    main()
