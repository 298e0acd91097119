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

    # each network is the whole of its own seconds, so that errors are relative
    wholes = np.ones(len(shares))

    ridge, drawn_to = _ridge(shares)
    rows = np.vstack([shares, ridge])
    wanted = np.append(wholes, drawn_to)

    factors: FloatArray = nnls(rows, wanted)[0]
    return factors


def _ridge(shares: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Further equations, (parts, parts), and what they are to give: the expected factors."""
    layer_shares = shares[:, :-2]
    change_shares = shares[:, -2]
    all_layers = layer_shares.sum(1)
    layers = float(np.median(all_layers))

    changes = float(change_shares.max())
    if changes == 0:
        # the factor would be free where no network changes its precision
        changes = 1.0

    each = np.ones(layer_shares.shape[1])
    expected = np.append(each / layers, [1.0, 0.0])

    # a part is drawn the harder the more of a network it makes up
    weights = np.append(each * layers, [changes, 1.0])

    # errors are squared: the root makes the prior count as so many networks
    strength = np.sqrt(_PRIOR)
    ridge = strength * np.diag(weights)
    return ridge, ridge @ expected
