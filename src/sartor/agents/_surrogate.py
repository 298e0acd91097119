"""A Gaussian process over policies: what it expects of those nobody scored, and how sure it is."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import product, starmap

import numpy as np

from sartor.machine import FloatArray

#: Added to the spread of features, which may be none.
_LEAST_SPREAD = 1e-6
_LEAST_VARIANCE = 1e-12


@dataclass(frozen=True)
class _Kernel:
    """Linear (errors add up) plus Matérn 5/2 (they interact).

    Attributes:
        share: Of the linear part.
        length: Length scale, in typical distances.
        noise: Variance of the noise.
    """

    share: float
    length: float
    noise: float

    def covariance(self, linear: FloatArray, distance: FloatArray) -> FloatArray:
        """Of rewards without noise, from inner products and distances of features."""
        scaled = np.sqrt(5) * distance / self.length
        polynomial = 1 + scaled + np.square(scaled) / 3
        interacting = (1 - self.share) * polynomial * np.exp(-scaled)
        return self.share * linear + interacting

    def noisy_covariance(self, linear: FloatArray, distance: FloatArray) -> FloatArray:
        """The same of rewards as they were seen."""
        return self.covariance(linear, distance) + self.noise * np.eye(len(linear))


#: Kernels that are tried.
_KERNELS = list(starmap(_Kernel, product((0.1, 0.5, 0.9), (0.25, 0.5, 1.0, 2.0), (0.02, 0.1, 0.3))))


class Surrogate:
    """Posterior of rewards given features (policies, features), rewards as normal scores.

    Ranks rather than values: a few ruined candidates must not set the scale. The kernel maximises
    the marginal likelihood over a small grid (Rasmussen & Williams 2006, eq. 5.8).
    """

    def __init__(self) -> None:
        self._kernel = _KERNELS[len(_KERNELS) // 2]
        self._mean: FloatArray = np.empty(0)
        self._spread: FloatArray = np.empty(0)
        self._seen: FloatArray = np.empty((0, 0))
        self._factor: tuple[FloatArray, bool] = (np.empty((0, 0)), False)
        self._weights: FloatArray = np.empty(0)
        self._best = 0.0

    def fit(self, features: FloatArray, rewards: FloatArray, *, tune: bool) -> None:
        """Condition on what was seen; ``tune`` also chooses the kernel anew."""
        from scipy.linalg import cho_factor, cho_solve

        self._mean = features.mean(0)
        self._spread = features.std(0) + _LEAST_SPREAD
        self._seen = self._standardise(features)
        scores = _normal_scores(rewards)
        parts = self._parts(self._seen)
        if tune:
            evidence = [_evidence(kernel.noisy_covariance(*parts), scores) for kernel in _KERNELS]
            self._kernel = _KERNELS[int(np.argmax(evidence))]
        self._factor = cho_factor(self._kernel.noisy_covariance(*parts))
        self._weights = cho_solve(self._factor, scores)
        expected, _ = self.predict(features)
        self._best = float(expected.max())

    def predict(self, features: FloatArray) -> tuple[FloatArray, FloatArray]:
        """Posterior mean and standard deviation (policies,), in normal scores."""
        from scipy.linalg import cho_solve

        new = self._standardise(features)
        cross = self._kernel.covariance(*self._parts(new))
        known = np.einsum("ij,ji->i", cross, cho_solve(self._factor, cross.T))
        share = self._kernel.share
        own = share * np.square(new).sum(1) / new.shape[1] + 1 - share
        variance = np.maximum(own - known, _LEAST_VARIANCE)
        return cross @ self._weights, np.sqrt(variance)

    def improvement(self, features: FloatArray) -> FloatArray:
        """Expected improvement over the best posterior mean among the policies seen (policies,)."""
        from scipy.stats import norm

        mean, deviation = self.predict(features)
        z = (mean - self._best) / deviation
        return deviation * (z * norm.cdf(z) + norm.pdf(z))

    def _standardise(self, features: FloatArray) -> FloatArray:
        return (features - self._mean) / self._spread

    def _parts(self, new: FloatArray) -> tuple[FloatArray, FloatArray]:
        """Inner products with and distances to what was seen, both scaled to be about 1."""
        features = new.shape[1]
        linear = new @ self._seen.T / features
        lengths = np.square(new).sum(1)[:, None] + np.square(self._seen).sum(1)[None]
        squares = lengths - 2 * new @ self._seen.T
        distance = np.sqrt(np.maximum(squares, 0) / (2 * features))
        return linear, distance


def _normal_scores(rewards: FloatArray) -> FloatArray:
    """The quantiles of a normal distribution that stand for the ranks of rewards."""
    from scipy.stats import norm, rankdata

    return norm.ppf((rankdata(rewards) - 0.5) / len(rewards))


def _evidence(covariance: FloatArray, scores: FloatArray) -> float:
    """The logarithm of the marginal likelihood, but for what is the same for all kernels."""
    from scipy.linalg import LinAlgError, cho_factor, cho_solve

    try:
        factor = cho_factor(covariance)
    except LinAlgError:
        return -np.inf
    fit = scores @ cho_solve(factor, scores)
    return float(-0.5 * fit - np.log(np.diag(factor[0])).sum())
