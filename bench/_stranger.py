"""Run an artifact in a process that can import neither sartor nor the network's class.

    python bench/_stranger.py FORMAT ARTIFACT IMAGES.npy OUTPUTS.npy

Nothing but the runtime is at hand. Writes the outputs of all images and prints one JSON line:
median milliseconds of one image on one thread, and the peak memory in bytes. A folder that
`sartor.load` reads is the exception: sartor is what reads it.
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
from numpy.typing import NDArray

Images = NDArray[np.float32]
Run = Callable[[Images], Images]

#: Images per run, where the artifact takes any number.
BATCH = 100
#: How long one image is run again and again.
SECONDS = 5.0
WARM_UP = 5


def onnx(artifact: str) -> Run:
    """By onnxruntime."""
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    session = onnxruntime.InferenceSession(artifact, options, providers=["CPUExecutionProvider"])
    name = session.get_inputs()[0].name
    return lambda images: session.run(None, {name: images})[0]


def openvino(artifact: str) -> Run:
    """By openvino."""
    import openvino as runtime

    settings = {"INFERENCE_NUM_THREADS": 1, "INFERENCE_PRECISION_HINT": "f32"}
    compiled = runtime.Core().compile_model(artifact, "CPU", settings)
    return lambda images: compiled(images)[0]


def executorch(artifact: str) -> Run:
    """By executorch, image by image."""
    import torch
    from executorch.extension.pybindings import portable_lib
    from executorch.runtime import Runtime

    portable_lib._unsafe_reset_threadpool(1)
    program = Runtime.get().load_program(Path(artifact))
    method = program.load_method("forward")

    def run(images: Images) -> Images:
        # a method keeps a reference to its program, but not its memory
        assert program is not None
        outputs = []
        for row in images:
            (output,) = method.execute([torch.from_numpy(row[None])])
            outputs.append(np.array(output))
        return np.concatenate(outputs)

    return run


def pt2(artifact: str) -> Run:
    """By torch.export."""
    import torch
    from torch.ao.quantization.fx._decomposed import quantized_decomposed_lib  # noqa: F401 - registers its operators

    torch.set_num_threads(1)
    module = torch.export.load(artifact).module()

    @torch.no_grad()
    def run(images: Images) -> Images:
        return module(torch.from_numpy(images)).numpy()

    return run


def folder(artifact: str) -> Run:
    """By sartor."""
    import torch

    import sartor

    torch.set_num_threads(1)
    network = sartor.load(artifact)

    @torch.no_grad()
    def run(images: Images) -> Images:
        return network(torch.from_numpy(images)).numpy()

    return run


LOADERS = {
    "onnx": onnx,
    "openvino": openvino,
    "executorch": executorch,
    "pt2": pt2,
    "folder": folder,
}


def main() -> None:
    """Run the artifact."""
    form, artifact, images_path, outputs_path = sys.argv[1:]
    if form != "folder":
        sys.modules["sartor"] = None  # type: ignore[assignment] # importing it is an error from here
    preload(form)
    before = psutil.Process().memory_info().rss
    run = LOADERS[form](artifact)
    images: Images = np.load(images_path, mmap_mode="r")
    seconds = seconds_of(run, images[:1].copy())
    memory = max(0, peak() - before)

    np.save(outputs_path, outputs_of(run, np.load(images_path)))
    found = {
        "milliseconds": 1e3 * seconds,
        "memory": memory,
        "classes": "sartor.models" in sys.modules,
    }
    print(json.dumps(found))


def preload(form: str) -> None:
    """Import the runtime, whose own memory is not the artifact's."""
    modules = {
        "onnx": ["onnxruntime"],
        "openvino": ["openvino"],
        "executorch": ["torch", "executorch.runtime", "executorch.extension.pybindings"],
        "pt2": ["torch", "torch.ao.quantization.fx._decomposed"],
        "folder": ["torch", "sartor"],
    }
    for name in modules[form]:
        __import__(name)


def seconds_of(run: Run, single: Images) -> float:
    """Median seconds of one image."""
    for _ in range(WARM_UP):
        run(single)
    times = []
    started = time.perf_counter()
    while time.perf_counter() - started < SECONDS:
        begun = time.perf_counter()
        run(single)
        times.append(time.perf_counter() - begun)
    return statistics.median(times)


def outputs_of(run: Run, images: Images) -> Images:
    """Outputs of all images, a batch at a time."""
    outputs = []
    for start in range(0, len(images), BATCH):
        outputs.append(run(images[start : start + BATCH]))
    return np.concatenate(outputs)


def peak() -> int:
    """Peak memory of this process in bytes."""
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith("VmHWM"):
            return 1024 * int(line.split()[1])
    raise SystemExit("the kernel does not say what this process took")


if __name__ == "__main__":
    main()
