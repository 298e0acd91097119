"""Runs an artifact in a process that can import neither sartor nor the network's class, with nothing but its runtime.

    python bench/_stranger.py FORMAT ARTIFACT IMAGES.npy OUTPUTS.npy

Writes the outputs of all images, prints one JSON line: median milliseconds of one image on one thread, peak memory in bytes.
A folder that `sartor.load` reads is the exception: sartor is what reads it.
"""

from __future__ import annotations

import json
import statistics
import sys
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import psutil

form, artifact, images_path, outputs_path = sys.argv[1:]
if form != "folder":
    sys.modules["sartor"] = None  # type: ignore[assignment] # importing it is an error from here on

Run = Callable[[np.ndarray], np.ndarray]
#: Images per run, where the artifact takes any number.
BATCH = 100
SECONDS = 5.0


def onnx() -> Callable[[], Run]:
    import onnxruntime

    def load() -> Run:
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = 1
        session = onnxruntime.InferenceSession(
            artifact, options, providers=["CPUExecutionProvider"]
        )
        name = session.get_inputs()[0].name
        return lambda images: session.run(None, {name: images})[0]

    return load


def openvino() -> Callable[[], Run]:
    import openvino

    def load() -> Run:
        settings = {"INFERENCE_NUM_THREADS": 1, "INFERENCE_PRECISION_HINT": "f32"}
        compiled = openvino.Core().compile_model(artifact, "CPU", settings)
        return lambda images: compiled(images)[0]

    return load


def executorch() -> Callable[[], Run]:
    import torch
    from executorch.extension.pybindings import portable_lib
    from executorch.runtime import Runtime

    def load() -> Run:
        portable_lib._unsafe_reset_threadpool(1)
        program = Runtime.get().load_program(Path(artifact))
        method = program.load_method("forward")

        def run(images: np.ndarray) -> np.ndarray:
            assert program is not None
            return np.concatenate(
                [np.array(method.execute([torch.from_numpy(row[None])])[0]) for row in images]
            )

        return run

    return load


def pt2() -> Callable[[], Run]:
    import torch
    from torch.ao.quantization.fx._decomposed import quantized_decomposed_lib  # noqa: F401 - registers its operators

    torch.set_num_threads(1)

    def load() -> Run:
        module = torch.export.load(artifact).module()

        @torch.no_grad()
        def run(images: np.ndarray) -> np.ndarray:
            return module(torch.from_numpy(images)).numpy()

        return run

    return load


def folder() -> Callable[[], Run]:
    import torch

    import sartor

    torch.set_num_threads(1)

    def load() -> Run:
        network = sartor.load(artifact)

        @torch.no_grad()
        def run(images: np.ndarray) -> np.ndarray:
            return network(torch.from_numpy(images)).numpy()

        return run

    return load


def peak() -> int:
    lines = Path("/proc/self/status").read_text().splitlines()
    return 1024 * int(next(line for line in lines if line.startswith("VmHWM")).split()[1])


def main() -> None:
    load = {
        "onnx": onnx,
        "openvino": openvino,
        "executorch": executorch,
        "pt2": pt2,
        "folder": folder,
    }[form]()
    before = psutil.Process().memory_info().rss
    run, single = load(), np.load(images_path, mmap_mode="r")[:1].copy()
    for _ in range(5):
        run(single)
    times, started = [], time.perf_counter()
    while time.perf_counter() - started < SECONDS:
        begun = time.perf_counter()
        run(single)
        times.append(time.perf_counter() - begun)
    memory = max(0, peak() - before)
    images = np.load(images_path)
    np.save(
        outputs_path,
        np.concatenate(
            [run(images[start : start + BATCH]) for start in range(0, len(images), BATCH)]
        ),
    )
    print(
        json.dumps(
            {
                "milliseconds": 1e3 * statistics.median(times),
                "memory": memory,
                "classes": "sartor.models" in sys.modules,
            }
        )
    )


main()
