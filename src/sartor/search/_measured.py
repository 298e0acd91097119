"""What is measured of layers before a search, and what agents are told of it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from sartor.compression import Compressor
from sartor.machine import FloatArray, Progress, Step
from sartor.problem import Problem
from sartor.search._probed import probed_errors
from sartor.sensitivity import Probes, Sensitivity

#: By layer, its shares of the original's latency: in the original, and with all layers at their
#: coarsest precision.
LayerLatency = Mapping[str, tuple[float, float]]


@dataclass(frozen=True, eq=False)
class Measured:
    """What is measured of layers; None where it is not.

    Attributes:
        sensitivity: Ω of layers.
        latency: Their shares of the original's latency.
        probes: Bring the estimated errors of choices to what candidates really lose.
    """

    sensitivity: Sensitivity | None = None
    latency: LayerLatency | None = None
    probes: Probes | None = None

    def errors(
        self, problem: Problem, compressor: Compressor, progress: Progress
    ) -> list[FloatArray]:
        """The error of every choice of every decision."""
        # How far it has come is not said: all channels are ranked with the first decision.
        progress(Step("ranking"))
        estimates = [decision.errors(compressor) for decision in problem.decisions]
        if self.probes is None:
            return estimates
        return probed_errors(problem, estimates, self.probes, progress)

    def omega(self, problem: Problem) -> list[FloatArray] | None:
        """Ω of every choice of every decision."""
        if self.sensitivity is None:
            return None
        return [decision.omega(self.sensitivity) for decision in problem.decisions]

    def shares(self, problem: Problem) -> list[tuple[float, float]] | None:
        """The shares of the latency that the layer of every decision takes."""
        if self.latency is None:
            return None
        layers = [decision.layer.name for decision in problem.decisions]
        return [self.latency.get(layer, (0.0, 0.0)) for layer in layers]
