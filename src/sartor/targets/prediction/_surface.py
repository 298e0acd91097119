"""Seconds of one layer over its channels, from measurements at some widths."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy.optimize import nnls

from sartor.machine import BoolArray, FloatArray, IntArray


@dataclass(frozen=True, eq=False)
class LatencySurface:
    """a + b·in + c·out + d·in·out, all at least 0, times a factor for the input width and one for the output width.

    Kernels work in blocks of channels: 17 may take as long as 32, and 8 longer than 16. The factors are what the entries at the
    widest input, or at the widest output, took beside the fit, linear between them; so these entries are met exactly.
    """

    coefficients: FloatArray
    _inputs: tuple[FloatArray, FloatArray]
    _outputs: tuple[FloatArray, FloatArray]

    @classmethod
    def fit(cls, widths: Sequence[tuple[int, int]], seconds: Sequence[float]) -> LatencySurface:
        """From entries (input width, output width); least squares of relative errors."""
        pairs, times = np.array(widths, dtype=np.float64), np.maximum(seconds, 1e-9)
        table = terms(pairs[:, 0], pairs[:, 1])
        scale = table.max(0)
        coefficients: FloatArray = (
            nnls(table / scale / times[:, None], np.ones(len(times)))[0] / scale
        )
        factors = times / (table @ coefficients)
        widest = pairs.max(0)
        square = (
            pairs[:, 0] * widest[1] == pairs[:, 1] * widest[0]
        ).all()  # both widths go together: depthwise
        outputs = _curve(pairs[:, 1], factors, along=square | (pairs[:, 0] == widest[0]))
        rest = factors / np.interp(pairs[:, 1], *outputs)
        return cls(
            coefficients,
            _curve(pairs[:, 0], rest, along=~square & (pairs[:, 1] == widest[1])),
            outputs,
        )

    def seconds(self, width_in: int, width_out: int) -> float:
        """Of one call."""
        factor = np.interp(width_in, *self._inputs) * np.interp(width_out, *self._outputs)
        return float(terms(np.array(width_in), np.array(width_out)) @ self.coefficients * factor)

    def factors(self, widest: int) -> FloatArray:
        """Those of all widths from 0 to ``widest``: of inputs, of outputs, (2, widths)."""
        widths = np.arange(widest + 1)
        return np.stack([np.interp(widths, *self._inputs), np.interp(widths, *self._outputs)])


def terms(inputs: FloatArray | IntArray, outputs: FloatArray | IntArray) -> FloatArray:
    """1, in, out and in·out along a last axis, what ``coefficients`` belong to."""
    return np.stack([np.ones(np.shape(inputs)), inputs, outputs, inputs * outputs], axis=-1)


def _curve(
    widths: FloatArray, factors: FloatArray, *, along: BoolArray
) -> tuple[FloatArray, FloatArray]:
    """Widths in order and their factors, from the entries ``along`` an edge; 1 everywhere if there are none."""
    if not along.any():
        return np.zeros(1), np.ones(1)
    order = np.argsort(widths[along])
    return widths[along][order], factors[along][order]
