"""Candidates on their target while a search runs: built once, then run there, or measured there."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Self

import torch
from torch import Tensor, fx

from sartor.compression import deployable, device_of
from sartor.graph import Network
from sartor.machine import Float32Array, Progress, silent, synchronize
from sartor.targets._base import Session, Target
from sartor.targets._batches import of_batch
from sartor.targets._comparison import Comparison
from sartor.targets._quiet import QuietGauge
from sartor.targets._timing import Patience

#: Enough to know how fast the original is in quiet moments.
_FIRST = Patience(limit_s=10.0, least_s=2.0)
#: Enough to steer a search.
_QUICK = Patience(tolerance=0.05, limit_s=2.0, warm_up=3, fastest=3)
#: The same where nobody wants to wait.
_ROUGH = Patience(tolerance=0.2, limit_s=0.5, warm_up=2, fastest=3)
#: Enough to promise something.
SURE = Patience(tolerance=0.01, limit_s=15.0, warm_up=20, least_s=5.0, least_turns=6)


class Deployment:
    """One network's candidates on one target, beside the original; made by `build`."""

    def __init__(
        self,
        target: Target,
        inputs: Sequence[Tensor],
        original: Path,
        reference: Session,
        *,
        progress: Progress = silent,
        rough: bool = False,
    ) -> None:
        self.target = target
        self.progress = progress
        self._rough = rough
        self._inputs = inputs
        self._original = original
        self._reference = reference
        self._gauge = QuietGauge(progress, patient=not rough)
        self._candidate: fx.GraphModule | None = None

    @classmethod
    def build(
        cls,
        target: Target,
        network: Network,
        folder: Path,
        *,
        progress: Progress = silent,
        rough: bool = False,
    ) -> Self:
        """Build and load the original; ``folder`` holds the artifacts as long as this is used.

        ``progress`` is told of waiting for quiet moments; if ``rough``, none is waited for.

        Raises `RunError` for a network that the target cannot hold.
        """
        inputs = of_batch(network.example_inputs, target.batch)
        path = folder / f"original{target.suffix}"
        folded = deployable(network.module)
        original = target.build(folded, inputs, path)
        reference = target.load(original)
        return cls(target, inputs, original, reference, progress=progress, rough=rough)

    @property
    def times(self) -> bool:
        """Whether latencies there say anything; those of an emulated processor do not."""
        return not self.target.describe().emulated

    def measure(self, candidate: fx.GraphModule, patience: Patience = _QUICK) -> Comparison:
        """Latency of a candidate beside the original's."""
        # A GPU that is at work, and what feeds it, would disturb.
        synchronize(device_of(candidate))
        artifact = self._artifact(candidate)
        return self._compare(artifact, patience)

    def measure_other(self, network: fx.GraphModule, inputs: Sequence[Tensor]) -> Comparison:
        """Latency of any network, such as a single layer, beside the original's.

        ``inputs`` have a batch of one; it is measured with as many images as the original.
        """
        path = self._path("other")
        sized = of_batch(inputs, self.target.batch)
        artifact = self.target.build(network, sized, path)
        return self._compare(artifact, _QUICK)

    def original_s(self) -> float:
        """Seconds of the original: a median, or an estimate."""
        return self._listen().original.median_s

    def forward(self, candidate: fx.GraphModule) -> Callable[[Tensor], Any]:
        """The candidate as the target runs it, for batches of any size: its outputs in order.

        It runs on as many threads as PyTorch has. Integer kernels are several times faster than
        simulating them; on a target that runs nothing it is PyTorch's simulation.
        """
        if not self.target.runs:
            return candidate

        artifact = self._artifact(candidate)
        session = self.target.load(artifact, threads=torch.get_num_threads())

        def run(images: Tensor) -> list[Tensor]:
            numbers: Float32Array = images.numpy(force=True)
            outputs = session.run([numbers])
            return [torch.from_numpy(output) for output in outputs]

        return run

    def profile(self, candidate: fx.GraphModule | None = None) -> dict[str, float]:
        """Seconds of each layer of a candidate, or of the original, by the target's profiler."""
        artifact = self._original
        if candidate is not None:
            artifact = self._artifact(candidate)
        return self.target.profile(artifact)

    def _compare(self, artifact: Path, patience: Patience) -> Comparison:
        """An artifact beside the original, at moments as quiet as there were before."""
        if self._rough:
            patience = _ROUGH
        if not self._gauge.known:
            self._listen()
        session = self.target.load(artifact)
        return self.target.compare(session, self._reference, patience, self._gauge)

    def _listen(self) -> Comparison:
        """The original beside itself, long enough to find quiet moments."""
        patience = _ROUGH if self._rough else _FIRST
        return self.target.compare(self._reference, self._reference, patience, self._gauge)

    def _artifact(self, candidate: fx.GraphModule) -> Path:
        """The candidate's file; that of the last candidate is there already."""
        path = self._path("candidate")
        if candidate is not self._candidate:
            # the file is nobody's if building fails
            self._candidate = None
            ready = deployable(candidate)
            self.target.build(ready, self._inputs, path)
            self._candidate = candidate
        return path

    def _path(self, name: str) -> Path:
        return self._original.with_name(f"{name}{self.target.suffix}")
