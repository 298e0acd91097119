"""Exploration around what an actor would do."""

from __future__ import annotations

import numpy as np

from sartor.machine import Float32Array, FloatArray

#: Narrower than this, a truncated normal is its mean.
_NARROWEST = 1e-4


def disturbed(means: Float32Array, sigma: float, rng: np.random.Generator) -> FloatArray:
    """A draw from the truncated normal on [0, 1] around each mean (AMC, equation 2).

    >>> means = np.array([0.5, 1.0], dtype=np.float32)
    >>> disturbed(means, 0.0, np.random.default_rng(0))
    array([0.5, 1. ])
    """
    if sigma < _NARROWEST:
        return means.astype(np.float64)
    draws = [_draw(float(mean), sigma, rng) for mean in means]
    return np.array(draws)


def _draw(mean: float, sigma: float, rng: np.random.Generator) -> float:
    from scipy.stats import truncnorm

    # SciPy wants the bounds in standard deviations from the mean.
    lowest = (0 - mean) / sigma
    highest = (1 - mean) / sigma

    share = rng.uniform()
    drawn = truncnorm.ppf(share, lowest, highest, loc=mean, scale=sigma)
    return float(drawn)
