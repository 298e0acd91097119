"""ExecuTorch with its XNNPACK kernels: what runs on phones, run on this machine's processor.

Lowering a network takes seconds, so this target is for finalists: search on another one and measure
the result here.
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
from sartor.targets._batches import in_batches
from sartor.targets._exporting import exporting, running
from sartor.targets._onnx_target import processor
from sartor.targets._pt2e import with_integers

_PRECISIONS = ((FULL_WIDTH, FULL_WIDTH), (8, 8))


class ExecutorchTarget(Target):
    """fp32 and int8 in any mix of layers.

    Weights are symmetric int8 per channel, activations int8 with a zero point.
    """

    name = "executorch"
    suffix = ".pte"
    summary = "ExecuTorch's XNNPACK kernels on this machine's processor"
    formats = ("executorch",)
    takes = ("batch",)

    def __init__(self, threads: int = 1, batch: int = 1) -> None:
        super().__init__(threads, batch)
        self._version = require("executorch.version", extra="executorch").__version__

    def describe(self) -> Description:
        """The processor here."""
        return Description(
            target=self.name,
            device=processor(),
            runtime=f"executorch {self._version} (XNNPACK)",
            threads=self.threads,
            supports=Support.for_all_layers(_PRECISIONS),
            batch=self.batch,
        )

    def build(
        self,
        network: fx.GraphModule,
        inputs: Sequence[Tensor],
        path: Path,
        *,
        metadata: Mapping[str, str] | None = None,
    ) -> Path:
        """A program for batches of the size of ``inputs``.

        Its method ``sartor`` returns the metadata as JSON. Raises `RunError` if ExecuTorch cannot
        lower the network.
        """
        # an optional package, which only this target needs
        from executorch.backends.xnnpack.partition.xnnpack_partitioner import XnnpackPartitioner
        from executorch.exir import to_edge_transform_and_lower

        lowered = with_integers(network)
        examples = tuple(item.contiguous() for item in inputs)
        constants = {"sartor": json.dumps(dict(metadata or {}))}

        with exporting("executorch"), warnings.catch_warnings():
            warnings.simplefilter("ignore")
            exported = torch.export.export(lowered, examples)
            edge = to_edge_transform_and_lower(
                exported,
                partitioner=[XnnpackPartitioner()],
                constant_methods=constants,
            )
            program = edge.to_executorch()

        write_atomically(path, lambda temporary: temporary.write_bytes(program.buffer))
        return path

    def load(self, artifact: Path, *, threads: int | None = None) -> ExecutorchSession:
        """A session.

        The threads are the process's: sessions with other numbers of them are each loaded anew when
        it is their turn.
        """
        # the file may hold another program when this one is loaded anew
        with running(artifact, self.name, "loaded"):
            program = artifact.read_bytes()
        return ExecutorchSession.open(artifact, program, threads or self.threads)


class _Pool:
    """The threads of the process.

    A program that was loaded on them waits for ever if it runs after they were replaced.
    """

    number: ClassVar[int] = 0

    @classmethod
    def of(cls, threads: int) -> int:
        """Replace them if they are not so many; the result tells this pool from those before."""
        from executorch.extension.pybindings import portable_lib

        count = getattr(portable_lib, "_threadpool_get_thread_count", None)
        reset = getattr(portable_lib, "_unsafe_reset_threadpool", None)
        if count is None or reset is None:
            raise RunError(
                "this version of executorch does not let its number of threads be set; install "
                "one that does, such as 1.5"
            )
        if count() != threads:
            reset(threads)
            cls.number += 1
        return cls.number


class ExecutorchSession:
    """A loaded program; made by `open`."""

    def __init__(self, artifact: Path, program: bytes, threads: int) -> None:
        self.batch = 1
        self._artifact = artifact
        self._program = program
        self._threads = threads

        # no pool has this number
        self._pool = -1
        self._method: Any = None
        self._fixed: list[Tensor] = []

    @classmethod
    def open(cls, artifact: Path, program: bytes, threads: int) -> ExecutorchSession:
        """Load a program and draw what it is timed on. Raises `RunError` if it cannot be loaded."""
        session = cls(artifact, program, threads)
        with running(artifact, ExecutorchTarget.name, "loaded"):
            metadata = session._ready().metadata
            sizes = []
            for index in range(metadata.num_inputs()):
                tensor = metadata.input_tensor_meta(index)
                sizes.append(tuple(tensor.sizes()))

        session.batch = sizes[0][0]
        for size in sizes:
            generator = torch.Generator().manual_seed(0)
            numbers = torch.randn(size, generator=generator)
            session._fixed.append(numbers)
        return session

    def _ready(self) -> Any:
        """The method to run, loaded on the threads that there are now."""
        from executorch.runtime import Runtime

        pool = _Pool.of(self._threads)
        if pool != self._pool:
            program = Runtime.get().load_program(self._program)
            self._method = program.load_method("forward")
            self._pool = pool
        return self._method

    def run(self, inputs: Sequence[Float32Array]) -> list[Float32Array]:
        """All outputs, batch by batch."""
        with running(self._artifact, ExecutorchTarget.name):
            method = self._ready()

            def execute(batch: list[Float32Array]) -> list[Float32Array]:
                outputs = method.execute([_tensor(item) for item in batch])
                return [np.array(output) for output in outputs]

            return in_batches(execute, inputs, self.batch)

    def seconds(self) -> float:
        """One run on random numbers."""
        with running(self._artifact, ExecutorchTarget.name):
            method = self._ready()
            started = time.perf_counter()
            method.execute(self._fixed)
            return time.perf_counter() - started


def _tensor(numbers: Float32Array) -> Tensor:
    return torch.from_numpy(np.ascontiguousarray(numbers))
