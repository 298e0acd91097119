"""Candidates on their target while a search runs: built once, then run there, or measured there."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import torch
from torch import Tensor, fx

from sartor.compression import deployable, fold
from sartor.graph import Network
from sartor.targets._base import Target
from sartor.targets._quiet import QuietGauge
from sartor.targets._timing import Comparison, Patience

#: Enough to know how fast the original is in quiet moments, to steer a search, and to promise something.
_FIRST = Patience(limit_s=10.0, least_s=2.0)
_QUICK = Patience(tolerance=0.05, limit_s=2.0, warm_up=3, fastest=3)
SURE = Patience(tolerance=0.01, limit_s=15.0, warm_up=20, least_s=5.0, least_turns=6)


class Deployment:
    """One network's candidates on one target, beside the original; ``folder`` holds the artifacts meanwhile."""

    def __init__(self, target: Target, network: Network, folder: Path) -> None:
        self.target, self._inputs, self._folder = target, network.example_inputs, folder
        self._original = target.build(
            fold(network.module), self._inputs, folder / f"original{target.suffix}"
        )
        self._reference, self._gauge = target.load(self._original), QuietGauge()
        self._candidate: fx.GraphModule | None = None

    def measure(self, candidate: fx.GraphModule, patience: Patience = _QUICK) -> Comparison:
        """Latency of a candidate beside the original's."""
        return self._compare(self._artifact(candidate), patience)

    def measure_other(self, network: fx.GraphModule, inputs: Sequence[Tensor]) -> Comparison:
        """Latency of any network, such as a single layer, beside the original's."""
        return self._compare(
            self.target.build(network, inputs, self._folder / f"other{self.target.suffix}"), _QUICK
        )

    def original_s(self) -> float:
        """Seconds of the original: a median, or an estimate."""
        return self._listen().original.median_s

    def forward(self, candidate: fx.GraphModule) -> Callable[[Tensor], Tensor]:
        """The candidate as the target runs it, for batches of any size, on PyTorch's threads: its first output.

        Integer kernels are several times faster than simulating them. On a target that runs nothing: PyTorch's simulation.
        """
        if not self.target.runs:
            return candidate
        session = self.target.load(self._artifact(candidate), threads=torch.get_num_threads())
        return lambda images: torch.from_numpy(session.run([images.numpy()])[0])

    def profile(self, candidate: fx.GraphModule | None = None) -> dict[str, float]:
        """Seconds of each layer of a candidate, or of the original, from the target's profiler."""
        return self.target.profile(
            self._original if candidate is None else self._artifact(candidate)
        )

    def _compare(self, artifact: Path, patience: Patience) -> Comparison:
        """An artifact beside the original, at moments as quiet as there were before."""
        if not self._gauge.known:
            self._listen()
        return self.target.compare(
            self.target.load(artifact), self._reference, patience, self._gauge
        )

    def _listen(self) -> Comparison:
        """The original beside itself, long enough to find quiet moments."""
        return self.target.compare(self._reference, self._reference, _FIRST, self._gauge)

    def _artifact(self, candidate: fx.GraphModule) -> Path:
        """The candidate's file; that of the last candidate is there already."""
        path = self._folder / f"candidate{self.target.suffix}"
        if candidate is not self._candidate:
            self._candidate = None
            self.target.build(deployable(candidate), self._inputs, path)
            self._candidate = candidate
        return path
