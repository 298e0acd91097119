"""Latency of candidates while a search runs."""

from __future__ import annotations

from pathlib import Path

from torch import fx

from sartor.compress import deployable, fold
from sartor.graph import Network
from sartor.targets._base import Target
from sartor.targets._timing import Comparison, Patience

#: Enough to steer a search, and enough to promise something.
_QUICK = Patience(tolerance=0.04, limit_s=0.6, warm_up=3)
_SURE = Patience(tolerance=0.01, limit_s=10.0, warm_up=20)


class LatencyMeter:
    """Measures candidates on a target beside the original; ``folder`` holds the artifacts meanwhile."""

    def __init__(self, target: Target, network: Network, folder: Path) -> None:
        self.target, self._inputs, self._folder = target, network.example_inputs, folder
        self._original = target.build(fold(network.module), self._inputs, folder / f"original{target.suffix}")

    def measure(self, candidate: fx.GraphModule, *, final: bool = False) -> Comparison:
        """Latency of a candidate; ``final`` takes the time to be sure."""
        artifact = self.target.build(deployable(candidate), self._inputs, self._folder / f"candidate{self.target.suffix}")
        return self.target.compare(artifact, self._original, _SURE if final else _QUICK)
