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
_SHARES = (0.1, 0.5, 0.9)
_LENGTHS = (0.25, 0.5, 1.0, 2.0)
_NOISES = (0.02, 0.1, 0.3)
_KERNELS = list(starmap(_Kernel, product(_SHARES, _LENGTHS, _NOISES)))
#: The kernel until one is chosen.
_FIRST_KERNEL = _KERNELS[len(_KERNELS) // 2]


class Surrogate:
    """Posterior of rewards given features (policies, features), rewards as normal scores.

    Ranks rather than values: a few ruined candidates must not set the scale. The kernel maximises
    the marginal likelihood over a small grid (Rasmussen & Williams 2006, eq. 5.8).
    """

    # What `fit` finds.
    _mean: FloatArray
    _spread: FloatArray
    _seen: FloatArray
    _factor: tuple[FloatArray, bool]
    _weights: FloatArray
    _best: float

    def __init__(self) -> None:
        self._kernel = _FIRST_KERNEL

    def fit(self, features: FloatArray, rewards: FloatArray, *, tune: bool) -> None:
        """Condition on what was seen; ``tune`` also chooses the kernel anew."""
        from scipy.linalg import cho_factor, cho_solve

        self._mean = features.mean(0)
        # Features that are the same in all policies must not be divided by 0.
        self._spread = features.std(0) + _LEAST_SPREAD
        self._seen = self._standardise(features)

        linear, distance = self._parts(self._seen)
        scores = _normal_scores(rewards)
        if tune:
            self._kernel = _likeliest_kernel(linear, distance, scores)

        covariance = self._kernel.noisy_covariance(linear, distance)
        self._factor = cho_factor(covariance)
        self._weights = cho_solve(self._factor, scores)

        # The best that is expected rather than the best seen, which may have been luck.
        expected, _ = self.predict(features)
        self._best = float(expected.max())

    def predict(self, features: FloatArray) -> tuple[FloatArray, FloatArray]:
        """Posterior mean and standard deviation (policies,), in normal scores."""
        from scipy.linalg import cho_solve

        new = self._standardise(features)
        linear, distance = self._parts(new)
        cross = self._kernel.covariance(linear, distance)
        expected = cross @ self._weights

        # Of the posterior covariance only the diagonal is needed.
        solved = cho_solve(self._factor, cross.T)
        explained = np.einsum("ij,ji->i", cross, solved)

        # Rounding may leave less than nothing.
        unexplained = self._prior_variance(new) - explained
        variance = np.maximum(unexplained, _LEAST_VARIANCE)
        return expected, np.sqrt(variance)

    def improvement(self, features: FloatArray) -> FloatArray:
        """Expected improvement over the best posterior mean among the policies seen (policies,)."""
        from scipy.stats import norm

        mean, deviation = self.predict(features)
        z = (mean - self._best) / deviation
        return deviation * (z * norm.cdf(z) + norm.pdf(z))

    def _standardise(self, features: FloatArray) -> FloatArray:
        return (features - self._mean) / self._spread

    def _prior_variance(self, new: FloatArray) -> FloatArray:
        """The variance of rewards (policies,) before any was seen."""
        share = self._kernel.share
        features = new.shape[1]
        lengths = np.square(new).sum(1)
        linear = share * lengths / features

        # A policy is at distance 0 from itself, where Matérn 5/2 is 1.
        return linear + 1 - share

    def _parts(self, new: FloatArray) -> tuple[FloatArray, FloatArray]:
        """Inner products with and distances to what was seen, both scaled to be about 1."""
        features = new.shape[1]
        linear = new @ self._seen.T / features

        # |a − b|² = |a|² + |b|² − 2 a·b needs no array of all differences.
        new_lengths = np.square(new).sum(1)
        seen_lengths = np.square(self._seen).sum(1)
        lengths = new_lengths[:, None] + seen_lengths[None]
        squares = lengths - 2 * new @ self._seen.T

        # Rounding may leave less than nothing between equal policies.
        scaled = np.maximum(squares, 0) / (2 * features)
        return linear, np.sqrt(scaled)


def _normal_scores(rewards: FloatArray) -> FloatArray:
    """The quantiles of a normal distribution that stand for the ranks of rewards."""
    from scipy.stats import norm, rankdata

    # The middle of a rank's share: the last rank's end would be infinite.
    shares = (rankdata(rewards) - 0.5) / len(rewards)
    return norm.ppf(shares)


def _likeliest_kernel(linear: FloatArray, distance: FloatArray, scores: FloatArray) -> _Kernel:
    """The kernel of the largest marginal likelihood; of equal ones the first."""
    evidence = []
    for kernel in _KERNELS:
        covariance = kernel.noisy_covariance(linear, distance)
        evidence.append(_evidence(covariance, scores))

    likeliest = int(np.argmax(evidence))
    return _KERNELS[likeliest]


def _evidence(covariance: FloatArray, scores: FloatArray) -> float:
    """The logarithm of the marginal likelihood, but for what is the same for all kernels."""
    from scipy.linalg import LinAlgError, cho_factor, cho_solve

    try:
        factor = cho_factor(covariance)
    except LinAlgError:
        return -np.inf

    fit = scores @ cho_solve(factor, scores)
    # Of a Cholesky factor, this is half the logarithm of the determinant.
    half_determinant = np.log(np.diag(factor[0])).sum()
    return float(-0.5 * fit - half_determinant)
