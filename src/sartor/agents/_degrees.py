"""Galen's actions: degrees of compression in [0, 1], and what they stand for (section 3.1).

0 leaves a parameter of a layer as it is, 1 compresses it as far as it goes.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np

from sartor.machine import FloatArray, IntArray
from sartor.policy import FULL_WIDTH
from sartor.problem import BitsDecision, Decision, Precision

#: A layer gets 8 bits above the first threshold, fewer above the second, else it stays in fp32.
INT8_THRESHOLD = 0.2
MIX_THRESHOLD = 0.5
#: The most bits below 8.
WIDEST_MIX = 6

_INT8: Precision = (8, 8)
_FP32: Precision = (FULL_WIDTH, FULL_WIDTH)


def discrete(degree: float, reference: int) -> int:
    """d(r) = clip(⌊(1 − r)·ν⌋ + 1, 1, ν) for a degree r and a reference ν (equation 4).

    >>> [discrete(degree, 16) for degree in (0.0, 0.5, 1.0)]
    [16, 9, 1]
    """
    count = int(np.floor((1 - degree) * reference)) + 1
    return min(max(count, 1), reference)


def degree_of_count(count: int, reference: int) -> float:
    """The middle of the degrees that `discrete` maps to a count.

    >>> discrete(degree_of_count(9, 16), 16)
    9
    """
    return 1 - (count - 0.5) / reference


def precision(weights: float, activations: float, available: Sequence[Precision]) -> Precision:
    """The available precision nearest to what degrees of weights and activations ask for.

    >>> precision(0.6, 0.1, [(5, 6), (8, 8), (32, 32)])
    (5, 6)
    >>> precision(0.6, 0.1, [(8, 8), (32, 32)])
    (8, 8)
    """
    wanted = _wanted(weights, activations)

    def distance(pair: Precision) -> tuple[float, Precision]:
        # A bit more or less means the more, the fewer there are.
        factors = np.divide(pair, wanted)
        octaves = np.abs(np.log2(factors))
        # Of two that are as near, the coarser.
        return float(octaves.sum()), pair

    return min(available, key=distance)


def degree_of_bits(bits: int) -> float:
    """A degree that stands for some bits of weights or activations, whatever the other's are.

    `precision` looks at both sides, as the paper does: no degrees lead to one side of few bits
    beside one of 8 or more.
    """
    if bits == FULL_WIDTH:
        return INT8_THRESHOLD / 2
    if bits > WIDEST_MIX:
        return (INT8_THRESHOLD + MIX_THRESHOLD) / 2
    return MIX_THRESHOLD + (1 - MIX_THRESHOLD) * degree_of_count(bits, WIDEST_MIX)


def _wanted(weights: float, activations: float) -> Precision:
    largest = max(weights, activations)
    if largest > MIX_THRESHOLD:
        return _mixed(weights), _mixed(activations)
    return _INT8 if largest > INT8_THRESHOLD else _FP32


def _mixed(degree: float) -> int:
    """Bits for a degree that is scaled to the range above the threshold (equation 8)."""
    # Below 0 where only the other side is above the threshold: that is the most bits.
    scaled = (degree - MIX_THRESHOLD) / (1 - MIX_THRESHOLD)
    return discrete(scaled, WIDEST_MIX)


@dataclass(frozen=True)
class LayerStep:
    """One step of Galen's agent: the decisions on one layer.

    Attributes:
        width: Column of the decision on its channels or weights; None where there is none.
        bits: Column of the decision on its precision; None where there is none.
    """

    width: int | None = None
    bits: int | None = None

    @property
    def columns(self) -> list[int]:
        """Columns of its decisions, in forward order."""
        return [column for column in (self.width, self.bits) if column is not None]


def layer_steps(decisions: Sequence[Decision]) -> list[LayerStep]:
    """The steps of an episode, in forward order.

    A layer that reads several groups takes a step for each, and its bits belong to the last.
    """
    steps: list[LayerStep] = []
    layer = ""
    for column, decision in enumerate(decisions):
        field = "bits" if decision.quantizes else "width"
        new_layer = decision.layer.name != layer
        if new_layer or getattr(steps[-1], field) is not None:
            steps.append(LayerStep())

        with_column = {field: column}
        steps[-1] = replace(steps[-1], **with_column)
        layer = decision.layer.name

    return steps


class Degrees:
    """Maps degrees of compression to keep ratios of decisions and back.

    ``count`` is how many degrees a step has: one where only widths are decided, two (weights,
    activations) where only bits are, three where both are.
    """

    def __init__(self, decisions: Sequence[Decision], steps: Sequence[LayerStep]) -> None:
        self._decisions = decisions
        has_width = any(step.width is not None for step in steps)
        has_bits = any(step.bits is not None for step in steps)
        self.count = has_width + 2 * has_bits

    def ratios(self, step: LayerStep, degrees: FloatArray) -> Iterator[float]:
        """The keep ratio of each of a step's decisions, in forward order."""
        if step.width is not None:
            degree = float(degrees[0])
            yield self._width_ratio(step.width, degree)

        if step.bits is not None:
            # The last two, whether or not the degree of a width comes before them.
            weights = float(degrees[-2])
            activations = float(degrees[-1])
            yield self._bits_ratio(step.bits, weights, activations)

    def of(self, step: LayerStep, counts: IntArray) -> FloatArray:
        """Degrees (count,) in the middle of those that lead to the counts of a policy.

        0 where the layer lacks the decision.
        """
        degrees = np.zeros(self.count)
        if step.width is not None:
            count = int(counts[step.width])
            size = self._decisions[step.width].size
            degrees[0] = degree_of_count(count, size)

        if step.bits is not None:
            count = int(counts[step.bits])
            # Counts of bits are places among the precisions, from 1.
            pair = self._precisions(step.bits)[count - 1]
            degrees[-2:] = [degree_of_bits(bits) for bits in pair]

        return degrees

    def _width_ratio(self, column: int, degree: float) -> float:
        size = self._decisions[column].size
        return discrete(degree, size) / size

    def _bits_ratio(self, column: int, weights: float, activations: float) -> float:
        precisions = self._precisions(column)
        chosen = precision(weights, activations, precisions)
        count = precisions.index(chosen) + 1
        return count / len(precisions)

    def _precisions(self, column: int) -> tuple[Precision, ...]:
        decision = self._decisions[column]
        assert isinstance(decision, BitsDecision)
        return decision.precisions
