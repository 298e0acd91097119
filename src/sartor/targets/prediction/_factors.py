"""How much of what single layers take counts in a network, learned from whole networks."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy.optimize import nnls

from sartor.machine import FloatArray

#: How far the expected factors are trusted, in measured networks.
_PRIOR = 0.3


@dataclass(frozen=True)
class MeasuredNetwork:
    """A whole network that was measured.

    Attributes:
        parts: Predicted seconds of its parts: layers at each precision, changes of the precision,
            and what it does beside its layers.
        seconds: Measured seconds of all of it.
    """

    parts: tuple[float, ...]
    seconds: float


def fit_factors(networks: Sequence[MeasuredNetwork]) -> FloatArray:
    """A factor of at least 0 for each part, by least squares of relative errors.

    A ridge draws them to what is expected before anything was measured: layers alone make up the
    whole, changes count once, and nothing is beside them.
    """
    seconds = np.array([network.seconds for network in networks])
    parts = np.array([network.parts for network in networks])
    shares = parts / seconds[:, None]
    ridge, drawn_to = _ridge(shares)
    rows = np.vstack([shares, ridge])
    wanted = np.append(np.ones(len(shares)), drawn_to)
    factors: FloatArray = nnls(rows, wanted)[0]
    return factors


def _ridge(shares: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Further equations, (parts, parts), and what they are to give: the expected factors."""
    layers = float(np.median(shares[:, :-2].sum(1)))
    changes = float(shares[:, -2].max())
    each = np.ones(shares.shape[1] - 2)

    expected = np.append(each / layers, [1.0, 0.0])
    weights = np.append(each * layers, [changes or 1.0, 1.0])
    ridge = np.sqrt(_PRIOR) * np.diag(weights)
    return ridge, ridge @ expected
