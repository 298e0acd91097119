"""Seconds of one layer over its channels, from measurements at some widths."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Self

import numpy as np
from scipy.optimize import nnls

from sartor.machine import BoolArray, FloatArray, IntArray

#: Widths in order, and a factor for each.
Curve = tuple[FloatArray, FloatArray]


@dataclass(frozen=True, eq=False)
class LatencySurface:
    """a + b·in + c·out + d·in·out, times a factor for the input and one for the output width.

    Kernels work in blocks of channels: 17 may take as long as 32, and 8 longer than 16. The factors
    are what the entries at the widest input, or at the widest output, took beside the fit, linear
    between them; so these entries are met exactly.

    Attributes:
        coefficients: a, b, c and d, all at least 0, in seconds.
        inputs: Factors of input widths.
        outputs: Factors of output widths.

    >>> widths = [(8, 8), (8, 16), (16, 8), (16, 16)]
    >>> surface = LatencySurface.fit(widths, [1e-6 * width_in for width_in, _ in widths])
    >>> round(1e6 * surface.seconds(12, 10), 3)
    12.0
    """

    coefficients: FloatArray
    inputs: Curve
    outputs: Curve

    @classmethod
    def fit(cls, widths: Sequence[tuple[int, int]], seconds: Sequence[float]) -> Self:
        """From entries (input width, output width); least squares of relative errors."""
        pairs = np.array(widths, dtype=np.float64)
        entering = pairs[:, 0]
        leaving = pairs[:, 1]
        widest_in, widest_out = pairs.max(0)

        # errors are relative to these, so none may be 0
        times = np.maximum(seconds, 1e-9)
        table = terms(entering, leaving)
        coefficients = _relative_fit(table, times)
        fitted = table @ coefficients
        factors = times / fitted

        # of a depthwise layer both widths go together: all factors are its outputs'
        together = (entering * widest_out == leaving * widest_in).all()
        at_widest_in = together | (entering == widest_in)
        at_widest_out = ~together & (leaving == widest_out)

        outputs = _curve(leaving, factors, along=at_widest_in)
        rest = factors / np.interp(leaving, *outputs)
        inputs = _curve(entering, rest, along=at_widest_out)
        return cls(coefficients, inputs, outputs)

    def seconds(self, width_in: int, width_out: int) -> float:
        """Of one call."""
        inputs = np.array(width_in)
        outputs = np.array(width_out)
        plain = terms(inputs, outputs) @ self.coefficients

        of_input = np.interp(width_in, *self.inputs)
        of_output = np.interp(width_out, *self.outputs)
        factor = of_input * of_output
        return float(plain * factor)

    def factors(self, widest: int) -> FloatArray:
        """Those of all widths from 0 to ``widest``: of inputs, of outputs, (2, widths)."""
        widths = np.arange(widest + 1)
        of_inputs = np.interp(widths, *self.inputs)
        of_outputs = np.interp(widths, *self.outputs)
        return np.stack([of_inputs, of_outputs])


def terms(inputs: FloatArray | IntArray, outputs: FloatArray | IntArray) -> FloatArray:
    """1, in, out and in·out along a last axis, what ``coefficients`` belong to."""
    constant = np.ones(np.shape(inputs))
    return np.stack([constant, inputs, outputs, inputs * outputs], axis=-1)


def _relative_fit(table: FloatArray, times: FloatArray) -> FloatArray:
    """Coefficients of at least 0 with the least squares of relative errors."""
    # terms of like size: in·out is thousands of times the constant
    scale = table.max(0)
    rows = table / scale / times[:, None]
    wanted = np.ones(len(times))

    coefficients: FloatArray = nnls(rows, wanted)[0]
    return coefficients / scale


def _curve(widths: FloatArray, factors: FloatArray, *, along: BoolArray) -> Curve:
    """Widths in order and their factors, of the entries ``along`` an edge; 1 if there are none."""
    # as a depthwise layer has no edge for its inputs
    if not along.any():
        return np.zeros(1), np.ones(1)

    edge_widths = widths[along]
    edge_factors = factors[along]

    # `numpy.interp` reads points from left to right
    order = np.argsort(edge_widths)
    return edge_widths[order], edge_factors[order]
