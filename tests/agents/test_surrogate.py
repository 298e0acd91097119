import numpy as np
from scipy.stats import spearmanr

from sartor.agents._surrogate import Surrogate


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
