"""What a problem asks of a predictor of latency."""

from __future__ import annotations

from typing import Protocol

from sartor.cost._layer_settings import LayerSettings
from sartor.machine import FloatArray, IntArray


class LatencyPredictor(Protocol):
    """Estimates latency from what policies do to layers.

    Attributes:
        original_s: Seconds that the original network takes.
    """

    original_s: float

    def seconds(self, counts: IntArray, options: LayerSettings) -> FloatArray:
        """Seconds (policies,) of counts (policies, groups) and settings (policies, layers)."""
        ...

    def correct(self, counts: IntArray, options: LayerSettings, seconds: float) -> None:
        """Learn from one policy, given as rows of one, that was measured as a whole."""
        ...

    def error(self) -> float:
        """Median relative error of predictions for whole networks that were measured afterwards.

        0 before any was.
        """
        ...
