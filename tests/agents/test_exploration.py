import numpy as np
import pytest
from scipy.stats import norm

from sartor.agents._exploration import disturbed


def draws(mean, sigma, count=4000):
    means = np.full(count, mean, dtype=np.float32)
    return disturbed(means, sigma, np.random.default_rng(0))


@pytest.mark.parametrize(("mean", "sigma"), [(0.5, 0.5), (0.9, 0.3), (0.0, 0.2), (1.0, 0.05)])
def test_draws_follow_a_normal_cut_off_at_0_and_1(mean, sigma):
    """Its mean is m + σ (φ(a) − φ(b)) / (Φ(b) − Φ(a)), with a and b the ends in deviations."""
    found = draws(mean, sigma)
    assert ((found >= 0) & (found <= 1)).all()
    low, high = (0 - mean) / sigma, (1 - mean) / sigma
    inside = norm.cdf(high) - norm.cdf(low)
    expected = mean + sigma * (norm.pdf(low) - norm.pdf(high)) / inside
    assert found.mean() == pytest.approx(expected, abs=0.05 * sigma)
    below = (norm.cdf(0.5 * low) - norm.cdf(low)) / inside
    assert (found < mean / 2).mean() == pytest.approx(below, abs=0.03)


def test_without_width_the_means_are_what_is_done():
    means = np.array([0.2, 0.7], dtype=np.float32)
    rng = np.random.default_rng(0)
    assert np.array_equal(disturbed(means, 0.9e-4, rng), means.astype(np.float64))
    assert rng.bit_generator.state == np.random.default_rng(0).bit_generator.state
    assert not np.array_equal(disturbed(means, 1e-4, rng), means.astype(np.float64))


def test_every_action_has_a_draw_of_its_own():
    one, other = disturbed(np.array([0.5, 0.5], np.float32), 0.5, np.random.default_rng(0))
    assert one != other
