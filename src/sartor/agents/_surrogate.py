"""A Gaussian process over policies: what it expects of policies nobody has scored yet, and how sure it is."""

from __future__ import annotations

from itertools import product

import numpy as np
from scipy.linalg import LinAlgError, cho_factor, cho_solve
from scipy.stats import norm, rankdata

from sartor.machine import FloatArray

#: Hyperparameters tried: share of the linear part, length scale (in typical distances), noise variance.
_GRID = tuple(product((0.1, 0.5, 0.9), (0.25, 0.5, 1.0, 2.0), (0.02, 0.1, 0.3)))


class Surrogate:
    """Posterior of rewards given features (policies, features), rewards as normal scores.

    Ranks rather than values: a few ruined candidates must not set the scale. The kernel is linear (errors add up) plus
    Matérn 5/2 (they interact); its hyperparameters maximise the marginal likelihood over a small grid (Rasmussen &
    Williams 2006, eq. 5.8).
    """

    def __init__(self) -> None:
        self._hyperparameters = _GRID[len(_GRID) // 2]

    def fit(self, features: FloatArray, rewards: FloatArray, *, tune: bool) -> None:
        """Condition on what was seen; ``tune`` also chooses the hyperparameters anew."""
        self._mean, self._scale = features.mean(0), features.std(0) + 1e-6
        self._seen = self._standardize(features)
        count = len(rewards)
        self._targets = norm.ppf((rankdata(rewards) - 0.5) / count)
        if tune:
            parts = self._parts(self._seen)
            self._hyperparameters = max(_GRID, key=lambda point: self._evidence(point, *parts))
        self._factor = cho_factor(self._covariance(self._hyperparameters, *self._parts(self._seen)))
        self._weights = cho_solve(self._factor, self._targets)
        self._best = float(self.predict(features)[0].max())

    def predict(self, features: FloatArray) -> tuple[FloatArray, FloatArray]:
        """Posterior mean and standard deviation, in normal scores."""
        new = self._standardize(features)
        linear, distance = self._parts(new)
        cross = self._mix(self._hyperparameters, linear, distance)
        share = self._hyperparameters[0]
        own = share * np.square(new).sum(1) / new.shape[1] + 1 - share
        variance = own - np.einsum("ij,ji->i", cross, cho_solve(self._factor, cross.T))
        return cross @ self._weights, np.sqrt(np.maximum(variance, 1e-12))

    def improvement(self, features: FloatArray) -> FloatArray:
        """Expected improvement over the best posterior mean among the policies seen."""
        mean, deviation = self.predict(features)
        z = (mean - self._best) / deviation
        return deviation * (z * norm.cdf(z) + norm.pdf(z))

    def _standardize(self, features: FloatArray) -> FloatArray:
        return (features - self._mean) / self._scale

    def _parts(self, new: FloatArray) -> tuple[FloatArray, FloatArray]:
        """Inner products and distances to what was seen, both scaled to be about 1."""
        linear = new @ self._seen.T / new.shape[1]
        square = (
            np.square(new).sum(1)[:, None]
            + np.square(self._seen).sum(1)[None]
            - 2 * new @ self._seen.T
        )
        return linear, np.sqrt(np.maximum(square, 0) / (2 * new.shape[1]))

    @staticmethod
    def _mix(
        point: tuple[float, float, float], linear: FloatArray, distance: FloatArray
    ) -> FloatArray:
        share, length, _ = point
        scaled = np.sqrt(5) * distance / length
        return share * linear + (1 - share) * (1 + scaled + np.square(scaled) / 3) * np.exp(-scaled)

    def _covariance(
        self, point: tuple[float, float, float], linear: FloatArray, distance: FloatArray
    ) -> FloatArray:
        return self._mix(point, linear, distance) + point[2] * np.eye(len(linear))

    def _evidence(
        self, point: tuple[float, float, float], linear: FloatArray, distance: FloatArray
    ) -> float:
        try:
            factor = cho_factor(self._covariance(point, linear, distance))
        except LinAlgError:
            return -np.inf
        fit = self._targets @ cho_solve(factor, self._targets)
        return float(-0.5 * fit - np.log(np.diag(factor[0])).sum())
