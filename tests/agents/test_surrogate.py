import numpy as np
import pytest
from scipy.integrate import quad
from scipy.stats import multivariate_normal, norm, spearmanr

from sartor.agents import _surrogate
from sartor.agents._surrogate import (
    Surrogate,
    _evidence,
    _Kernel,
    _likeliest_kernel,
    _normal_scores,
)


def reward(features):
    """Additive, with one interaction."""
    return (
        -np.square(features[:, 0] - 0.7)
        - 0.5 * np.abs(features[:, 1])
        - features[:, 2] * features[:, 3]
    )


def fitted(count=80):
    features = np.random.default_rng(0).uniform(size=(count, 6))
    surrogate = Surrogate()
    surrogate.fit(features, reward(features), tune=True)
    return surrogate, features


def test_it_orders_policies_it_has_not_seen():
    surrogate, _ = fitted()
    new = np.random.default_rng(1).uniform(size=(200, 6))
    assert spearmanr(surrogate.predict(new)[0], reward(new)).statistic > 0.9


def test_it_is_surer_of_what_it_has_seen():
    surrogate, seen = fitted()
    far = np.full((1, 6), 3.0)
    assert surrogate.predict(seen)[1].max() < surrogate.predict(far)[1][0]


def test_ruined_candidates_do_not_hide_the_differences_between_good_ones():
    features = np.random.default_rng(0).uniform(size=(80, 6))
    rewards = reward(features)
    rewards[:10] -= 1000
    features[:10, 5] = 4.0
    surrogate = Surrogate()
    surrogate.fit(features, rewards, tune=True)
    good = features[10:]
    assert spearmanr(surrogate.predict(good)[0], reward(good)).statistic > 0.9


def test_improvement_is_never_negative_and_greatest_where_reward_is_high():
    surrogate, _ = fitted()
    new = np.random.default_rng(2).uniform(size=(200, 6))
    gain = surrogate.improvement(new)
    assert gain.min() >= 0
    assert reward(new)[gain.argmax()] > np.quantile(reward(new), 0.95)


def test_the_kernels_that_are_tried():
    kernels = _surrogate._KERNELS
    assert len(kernels) == 3 * 4 * 3
    assert {kernel.share for kernel in kernels} == {0.1, 0.5, 0.9}
    assert {kernel.length for kernel in kernels} == {0.25, 0.5, 1.0, 2.0}
    assert {kernel.noise for kernel in kernels} == {0.02, 0.1, 0.3}


def test_a_kernel_is_a_linear_one_and_a_matern_one_in_their_shares():
    """At a distance of one length, Matérn 5/2 is (1 + √5 + 5/3) e^−√5 = 0.523994."""
    kernel = _Kernel(share=0.3, length=2.0, noise=0.1)
    linear = np.array([[1.0, -2.0], [-2.0, 5.0]])
    distance = np.array([[0.0, 2.0], [2.0, 0.0]])
    expected = [[0.3 + 0.7, -0.6 + 0.7 * 0.523994], [-0.6 + 0.7 * 0.523994, 1.5 + 0.7]]
    found = kernel.covariance(linear, distance)
    assert found == pytest.approx(np.array(expected), abs=1e-6)
    noisy = kernel.noisy_covariance(linear, distance)
    assert noisy - found == pytest.approx(np.array([[0.1, 0.0], [0.0, 0.1]]))


def test_scores_are_the_quantiles_in_the_middle_of_the_ranks():
    """Of four, the shares 1/8, 3/8, 5/8 and 7/8; equal rewards share the mean of their ranks."""
    quantiles = {"1/8": -1.150349, "3/8": -0.318639, "5/8": 0.318639, "7/8": 1.150349}
    found = _normal_scores(np.array([5.0, -1e9, 7.0, 6.0]))
    expected = [quantiles[share] for share in ("3/8", "1/8", "7/8", "5/8")]
    assert found == pytest.approx(expected, abs=1e-6)
    assert _normal_scores(np.array([2.0, 2.0])).tolist() == [0.0, 0.0]


def kernel_of(share, length, one, other):
    """The kernel of two rows, written out; a typical squared distance is 2 for each feature."""
    scaled = np.sqrt(5 * np.square(one - other).mean() / 2) / length
    matern = (1 + scaled + scaled**2 / 3) * np.exp(-scaled)
    return share * (one * other).mean() + (1 - share) * matern


def posterior(seen, scores, new, kernel):
    """Mean and deviation of a joint normal given a part of it (Rasmussen & Williams, 2.23)."""
    scale = seen.std(0) + 1e-6
    seen, new = (seen - seen.mean(0)) / scale, (new - seen.mean(0)) / scale

    def matrix(rows, columns):
        return np.array(
            [[kernel_of(kernel.share, kernel.length, a, b) for b in columns] for a in rows]
        )

    inverse = np.linalg.inv(matrix(seen, seen) + kernel.noise * np.eye(len(seen)))
    cross = matrix(new, seen)
    covariance = matrix(new, new) - cross @ inverse @ cross.T
    return cross @ inverse @ scores, np.sqrt(np.diag(covariance))


def few():
    """Eight policies of three features, of which one is always the same; rewards; four others."""
    rng = np.random.default_rng(3)
    seen = rng.uniform(size=(8, 3))
    seen[:, 2] = 0.25
    new = rng.uniform(size=(4, 3))
    new[:, 2] = 0.25
    return seen, reward(np.hstack([seen, seen])), new


def test_predictions_are_those_of_a_normal_distribution_given_what_was_seen():
    seen, rewards, new = few()
    surrogate = Surrogate()
    surrogate.fit(seen, rewards, tune=False)
    first = _Kernel(share=0.5, length=1.0, noise=0.02)
    assert surrogate._kernel == first
    mean, deviation = surrogate.predict(new)
    expected_mean, expected_deviation = posterior(seen, _normal_scores(rewards), new, first)
    assert mean == pytest.approx(expected_mean, rel=1e-8)
    assert deviation == pytest.approx(expected_deviation, rel=1e-8)


def test_improvement_is_the_mean_of_what_lies_above_the_best_that_is_expected():
    seen, rewards, new = few()
    surrogate = Surrogate()
    surrogate.fit(seen, rewards, tune=False)
    best = surrogate.predict(seen)[0].max()
    for found, mean, deviation in zip(
        surrogate.improvement(new), *surrogate.predict(new), strict=True
    ):
        density = norm(mean, deviation).pdf
        expected, _ = quad(lambda x, f=density: (x - best) * f(x), best, best + 12)
        assert found == pytest.approx(expected, rel=1e-6)


def test_what_was_seen_without_noise_is_sure_but_for_rounding(monkeypatch):
    monkeypatch.setattr(_surrogate, "_FIRST_KERNEL", _Kernel(0.5, 1.0, 1e-14))
    seen, rewards, _ = few()
    surrogate = Surrogate()
    surrogate.fit(seen, rewards, tune=False)
    mean, deviation = surrogate.predict(seen)
    assert mean == pytest.approx(_normal_scores(rewards), abs=1e-6)
    assert deviation.min() >= 1e-6
    assert deviation.max() < 1e-5


def test_the_evidence_is_the_likelihood_of_the_scores_but_for_a_constant():
    rng = np.random.default_rng(0)
    scores = rng.normal(size=4)
    differences = []
    for _ in range(3):
        root = rng.normal(size=(4, 6))
        covariance = root @ root.T
        likelihood = multivariate_normal(cov=covariance).logpdf(scores)
        differences.append(_evidence(covariance, scores) - likelihood)
    assert differences == pytest.approx([2 * np.log(2 * np.pi)] * 3)


def test_what_is_no_covariance_is_never_the_likeliest():
    assert _evidence(-np.eye(3), np.ones(3)) == -np.inf


def test_tuning_takes_the_kernel_under_which_the_scores_are_likeliest():
    surrogate, features = fitted(30)
    standard = (features - features.mean(0)) / (features.std(0) + 1e-6)
    scores = _normal_scores(reward(features))

    def likelihood(kernel):
        rows = [[kernel_of(kernel.share, kernel.length, a, b) for b in standard] for a in standard]
        covariance = np.array(rows) + kernel.noise * np.eye(30)
        return multivariate_normal(cov=covariance).logpdf(scores)

    assert surrogate._kernel == max(_surrogate._KERNELS, key=likelihood)
    assert surrogate._kernel != _surrogate._FIRST_KERNEL


def test_of_equally_likely_kernels_the_first_is_taken():
    """Of one policy at distance 0 whose inner product is 1, the shares make no difference."""
    kernel = _likeliest_kernel(np.ones((1, 1)), np.zeros((1, 1)), np.zeros(1))
    assert kernel == _Kernel(share=0.1, length=0.25, noise=0.02)


def test_without_tuning_the_kernel_stays_as_it_was_chosen():
    surrogate, features = fitted(30)
    chosen = surrogate._kernel
    surrogate.fit(features[:5], -reward(features[:5]), tune=False)
    assert surrogate._kernel is chosen
