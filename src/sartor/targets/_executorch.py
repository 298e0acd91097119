"""ExecuTorch with its XNNPACK kernels: what runs on phones, run on this machine's processor.

Lowering a network takes seconds, so this target is for finalists: search on another one and measure the result here.
"""

from __future__ import annotations

import json
import time
import warnings
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, fx

from sartor._files import write_atomically
from sartor._optional import require
from sartor.errors import RunError
from sartor.policy import FULL_WIDTH
from sartor.targets._base import Description, FloatArray, Support, Target
from sartor.targets._onnx import processor
from sartor.targets._pt2e import with_integers

_PRECISIONS = ((FULL_WIDTH, FULL_WIDTH), (8, 8))


class ExecutorchTarget(Target):
    """fp32 and int8 (weights symmetric int8 per channel, activations int8 with a zero point), in any mix of layers."""

    name = "executorch"
    suffix = ".pte"

    def __init__(self, threads: int = 1) -> None:
        self.threads = threads
        self._version = require("executorch.version", extra="executorch").__version__

    def describe(self) -> Description:
        """The processor here."""
        supports = dict.fromkeys(("conv", "depthwise", "linear"), Support(_PRECISIONS))
        return Description(self.name, processor(), f"executorch {self._version} (XNNPACK)", self.threads, supports)

    def build(
        self, network: fx.GraphModule, inputs: Sequence[Tensor], path: Path, *, metadata: Mapping[str, str] | None = None
    ) -> Path:
        """A program for batches of the size of ``inputs``; its method ``sartor`` returns the metadata as JSON.

        Raises `RunError` if ExecuTorch cannot lower the network.
        """
        from executorch.backends.xnnpack.partition.xnnpack_partitioner import XnnpackPartitioner
        from executorch.exir import to_edge_transform_and_lower

        with torch.no_grad(), warnings.catch_warnings():
            warnings.simplefilter("ignore")
            exported = torch.export.export(with_integers(network), tuple(item.contiguous() for item in inputs))
            try:
                program = to_edge_transform_and_lower(
                    exported, partitioner=[XnnpackPartitioner()], constant_methods={"sartor": json.dumps(dict(metadata or {}))}
                ).to_executorch()
            except Exception as error:
                raise RunError(f"executorch cannot lower the network to {path}: {error}") from error
        write_atomically(path, lambda temporary: temporary.write_bytes(program.buffer))
        return path

    def load(self, artifact: Path, *, threads: int | None = None) -> ExecutorchSession:
        """A session; the number of threads holds for all sessions of the process."""
        from executorch.extension.pybindings import portable_lib

        portable_lib._unsafe_reset_threadpool(threads or self.threads)
        return ExecutorchSession(artifact)


class ExecutorchSession:
    """A loaded program."""

    def __init__(self, artifact: Path) -> None:
        from executorch.runtime import Runtime

        try:
            self._program = Runtime.get().load_program(artifact)
            self._method = self._program.load_method("forward")
        except Exception as error:
            raise RunError(f"{artifact} cannot be loaded by executorch: {error}") from error
        metadata = self._method.metadata
        sizes = [metadata.input_tensor_meta(index).sizes() for index in range(metadata.num_inputs())]
        self.batch: int = sizes[0][0]
        self._fixed = [torch.randn(tuple(size), generator=torch.Generator().manual_seed(0)) for size in sizes]

    def run(self, inputs: Sequence[FloatArray]) -> list[FloatArray]:
        """All outputs, batch by batch."""
        rows = []
        for start in range(0, len(inputs[0]), self.batch):
            part = [torch.from_numpy(np.ascontiguousarray(item[start : start + self.batch])) for item in inputs]
            rows.append([np.array(output) for output in self._method.execute(part)])
        return [np.concatenate(column) for column in zip(*rows, strict=True)]

    def seconds(self) -> float:
        """One run on random numbers."""
        started = time.perf_counter()
        self._method.execute(self._fixed)
        return time.perf_counter() - started
