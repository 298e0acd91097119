"""PyTorch itself, one operator after the other, on the processor or an accelerator."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, fx
from torch.export import ExportedProgram
from torch.export.passes import move_to_device_pass

from sartor.errors import UsageError
from sartor.machine import Float32Array, choose_device, torch_threads
from sartor.policy import FULL_WIDTH
from sartor.targets._base import Description, Session, Support, Target
from sartor.targets._batches import in_batches
from sartor.targets._clock import clock_of, warm_up
from sartor.targets._comparison import Comparison
from sartor.targets._devices import DTYPES, device_name, dtypes_of
from sartor.targets._exporting import running
from sartor.targets._options import DEVICE, PRECISION
from sartor.targets._program import read_program, write_program
from sartor.targets._quiet import QuietGauge
from sartor.targets._timing import Patience


class TorchTarget(Target):
    """Every layer in one of the formats that the device has: fp32, bf16 or fp16.

    Weights and activations of 8 bits have no kernels here.

    Args:
        threads: Of PyTorch, where the processor computes.
        batch: Images that are timed at once.
        device: cpu, cuda, cuda:1, mps, or auto: a GPU where there is one.
        precision: fp32, bf16 or fp16.

    Raises `UsageError` for a device that is not there, and a precision that it lacks.

    >>> TorchTarget(batch=4).describe().batch
    4
    """

    name = "torch"
    suffix = ".pt2"
    summary = "PyTorch, one operator after the other"
    formats = ("pt2",)
    takes = ("batch", "device", "precision")
    #: How PyTorch runs a network here.
    mode = "eager"

    def __init__(
        self,
        threads: int = 1,
        batch: int = 1,
        device: str = DEVICE,
        precision: str = PRECISION,
    ) -> None:
        super().__init__(threads, batch)
        self.device = choose_device(device)
        self.precision = precision
        self.dtypes = dtypes_of(self.device)
        if precision not in self.dtypes:
            raise UsageError(
                f"precision {precision!r} is none of {device_name(self.device)}; allowed are "
                f"{', '.join(self.dtypes)}"
            )

    def describe(self) -> Description:
        """The device."""
        version = str(torch.__version__)
        return Description(
            target=self.name,
            device=device_name(self.device),
            runtime=f"torch {version} ({self.mode}, {self.precision})",
            threads=self.threads,
            supports=Support.for_all_layers([(FULL_WIDTH, FULL_WIDTH)]),
            batch=self.batch,
            dtypes=self.dtypes,
        )

    def build(self, network: fx.GraphModule, inputs: Sequence[Tensor], path: Path) -> Path:
        """An exported program in fp32 for batches of any size; it is moved when it is loaded."""
        return write_program(network, inputs, path, dynamic=True)

    def load(self, artifact: Path, *, threads: int | None = None) -> Session:
        """The program on the device, in the precision that was asked for."""
        program = read_program(artifact, self.name)
        shapes = _shapes(program)
        with running(artifact, self.name, "loaded"):
            if self.device.type != "cpu":
                program = move_to_device_pass(program, self.device)
            # its own checks of every input would be timed, and refuse other precisions
            network = program.module(check_guards=False)
            network.to(DTYPES[self.precision])

        return self.session(artifact, network, shapes, threads)

    def session(
        self,
        artifact: Path,
        network: Callable[..., object],
        shapes: Sequence[Sequence[int | torch.SymInt]],
        threads: int | None,
    ) -> TorchSession:
        """Of what runs on the device; a batch that is no whole number in ``shapes`` is open."""
        first = shapes[0][0]
        batch = first if isinstance(first, int) else None
        generator = torch.Generator().manual_seed(0)
        fixed = []
        for _, *sides in shapes:
            shape = (batch or self.batch, *map(int, sides))
            numbers = torch.randn(shape, generator=generator)
            moved = numbers.to(self.device, DTYPES[self.precision])
            fixed.append(moved)
        return TorchSession(
            artifact,
            self,
            network,
            fixed=fixed,
            batch=batch,
            threads=threads or self.threads,
        )

    def compare(
        self,
        candidate: Session,
        original: Session,
        patience: Patience | None = None,
        gauge: QuietGauge | None = None,
    ) -> Comparison:
        """In turns, with PyTorch's threads those of the target from the first turn to the last."""
        with torch_threads(self.threads):
            return super().compare(candidate, original, patience, gauge)


class TorchSession:
    """A network of PyTorch on its device."""

    def __init__(
        self,
        artifact: Path,
        target: TorchTarget,
        network: Callable[..., object],
        *,
        fixed: Sequence[Tensor],
        batch: int | None,
        threads: int,
    ) -> None:
        self.batch = batch
        self._artifact = artifact
        self._target = target
        self._network = network
        self._fixed = fixed
        self._threads = threads
        self._clock = clock_of(target.device)
        self._warm = target.device.type == "cpu"

    def run(self, inputs: Sequence[Float32Array]) -> list[Float32Array]:
        """All outputs, in fp32."""
        with self._running():
            if self.batch is None:
                return self._outputs(inputs)
            return in_batches(self._outputs, inputs, self.batch)

    def seconds(self) -> float:
        """One run on random numbers that lie on the device; the first warms an accelerator up."""
        with self._running():
            if not self._warm:
                warm_up(self._once)
                self._warm = True
            return self._once()

    def _once(self) -> float:
        return self._clock.seconds(lambda: self._network(*self._fixed))

    def _outputs(self, inputs: Sequence[Float32Array]) -> list[Float32Array]:
        first = self._fixed[0]
        given = []
        for item in inputs:
            tensor = torch.from_numpy(np.ascontiguousarray(item))
            given.append(tensor.to(first.device, first.dtype))

        found = tensors_of(self._network(*given))
        return [item.float().numpy(force=True) for item in found]

    @contextmanager
    def _running(self) -> Iterator[None]:
        said = running(self._artifact, self._target.name)
        with said, torch.inference_mode(), torch_threads(self._threads):
            yield


def tensors_of(outputs: Any) -> list[Tensor]:
    """What a network returns, flat.

    >>> len(tensors_of((torch.zeros(1), {"a": torch.zeros(1)})))
    2
    """
    if isinstance(outputs, Tensor):
        return [outputs]
    parts = outputs.values() if isinstance(outputs, Mapping) else outputs
    return [tensor for part in parts for tensor in tensors_of(part)]


def _shapes(program: ExportedProgram) -> list[torch.Size]:
    """Of the inputs; a size that is left open is no whole number."""
    names = program.graph_signature.user_inputs
    return [node.meta["val"].shape for node in program.graph.nodes if node.name in names]
