"""ExecuTorch with its XNNPACK kernels: what runs on phones, run on this machine's processor.

Lowering a network takes seconds, so this target is for finalists: search on another one and measure the result here.
"""

from __future__ import annotations

import json
import time
import warnings
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import torch
from torch import Tensor, fx

from sartor.errors import RunError
from sartor.machine import Float32Array, require, write_atomically
from sartor.policy import FULL_WIDTH
from sartor.targets._base import Description, Support, Target
from sartor.targets._exporter_errors import exporter_errors
from sartor.targets._onnx import processor
from sartor.targets._pt2e import with_integers

_PRECISIONS = ((FULL_WIDTH, FULL_WIDTH), (8, 8))


class ExecutorchTarget(Target):
    """fp32 and int8 (weights symmetric int8 per channel, activations int8 with a zero point), in any mix of layers."""

    name = "executorch"
    suffix = ".pte"
    summary = "ExecuTorch's XNNPACK kernels on this machine's processor"
    formats = ("executorch",)

    def __init__(self, threads: int = 1) -> None:
        super().__init__(threads)
        self._version = require("executorch.version", extra="executorch").__version__

    def describe(self) -> Description:
        """The processor here."""
        supports = dict.fromkeys(("conv", "depthwise", "linear"), Support(_PRECISIONS))
        return Description(
            self.name, processor(), f"executorch {self._version} (XNNPACK)", self.threads, supports
        )

    def build(
        self,
        network: fx.GraphModule,
        inputs: Sequence[Tensor],
        path: Path,
        *,
        metadata: Mapping[str, str] | None = None,
    ) -> Path:
        """A program for batches of the size of ``inputs``; its method ``sartor`` returns the metadata as JSON.

        Raises `RunError` if ExecuTorch cannot lower the network.
        """
        from executorch.backends.xnnpack.partition.xnnpack_partitioner import XnnpackPartitioner
        from executorch.exir import to_edge_transform_and_lower

        lowered, constants = with_integers(network), {"sartor": json.dumps(dict(metadata or {}))}
        with exporter_errors("executorch"), torch.no_grad(), warnings.catch_warnings():
            warnings.simplefilter("ignore")
            exported = torch.export.export(lowered, tuple(item.contiguous() for item in inputs))
            program = to_edge_transform_and_lower(
                exported, partitioner=[XnnpackPartitioner()], constant_methods=constants
            ).to_executorch()
        write_atomically(path, lambda temporary: temporary.write_bytes(program.buffer))
        return path

    def load(self, artifact: Path, *, threads: int | None = None) -> ExecutorchSession:
        """A session; sessions with other numbers of threads in one process are each loaded anew when it is their turn."""
        return ExecutorchSession(artifact, threads or self.threads)


class _Pool:
    """The threads of the process. A program that was loaded on them waits for ever if it runs after they were replaced."""

    number: ClassVar[int] = 0

    @classmethod
    def of(cls, threads: int) -> int:
        """Replace them if they are not so many; tells this pool from those before."""
        from executorch.extension.pybindings import portable_lib

        if portable_lib._threadpool_get_thread_count() != threads:
            portable_lib._unsafe_reset_threadpool(threads)
            cls.number += 1
        return cls.number


class ExecutorchSession:
    """A loaded program."""

    def __init__(self, artifact: Path, threads: int) -> None:
        self._threads, self._pool = threads, -1
        try:
            self._program = (
                artifact.read_bytes()
            )  # the file may hold another program when this one is loaded anew
            metadata = self._ready().metadata
        except Exception as error:
            raise RunError(f"{artifact} cannot be loaded by executorch: {error}") from error
        sizes = [
            metadata.input_tensor_meta(index).sizes() for index in range(metadata.num_inputs())
        ]
        self.batch: int = sizes[0][0]
        self._fixed = [
            torch.randn(tuple(size), generator=torch.Generator().manual_seed(0)) for size in sizes
        ]

    def _ready(self) -> Any:
        """The method to run, loaded on the threads that there are now."""
        from executorch.runtime import Runtime

        pool = _Pool.of(self._threads)
        if pool != self._pool:
            self._method, self._pool = (
                Runtime.get().load_program(self._program).load_method("forward"),
                pool,
            )
        return self._method

    def run(self, inputs: Sequence[Float32Array]) -> list[Float32Array]:
        """All outputs, batch by batch."""
        method, rows = self._ready(), []
        for start in range(0, len(inputs[0]), self.batch):
            part = [
                torch.from_numpy(np.ascontiguousarray(item[start : start + self.batch]))
                for item in inputs
            ]
            rows.append([np.array(output) for output in method.execute(part)])
        return [np.concatenate(column) for column in zip(*rows, strict=True)]

    def seconds(self) -> float:
        """One run on random numbers."""
        method = self._ready()
        started = time.perf_counter()
        method.execute(self._fixed)
        return time.perf_counter() - started
