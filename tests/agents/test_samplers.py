import logging
import sys
from dataclasses import replace

import numpy as np
import pytest

import small_problems as problems
from sartor.agents import CmaEsAgent, RandomAgent, TpeAgent, Trajectory
from sartor.errors import MissingPackageError


def context_of(problem=None, seed=0):
    problem = problem or problems.channels("")
    return replace(problems.context_of(problem), seed=seed)


def episode(executed, reward):
    steps = len(executed)
    return Trajectory(np.zeros((steps + 1, 11), np.float32), np.array(executed), reward)


def without_choice(*columns):
    """Widths of 10 and 4, of which some may not be reduced."""
    problem = problems.channels("")
    for column in columns:
        problem.lowest[column] = problem.highest[column]
    return problem


@pytest.mark.parametrize("kind", [RandomAgent, TpeAgent, CmaEsAgent])
def test_the_seed_decides_what_is_proposed(kind):
    one, same, other = (kind(context_of(seed=seed)) for seed in (3, 3, 4))
    assert one.context.seed == 3
    first = one.propose().tolist()
    assert same.propose().tolist() == first
    assert other.propose().tolist() != first


def test_random_ratios_lie_evenly_between_the_least_and_the_whole():
    """From 1 of 10 and from 1 of 4 on; the deviation of an even distribution is 12^−½."""
    agent = RandomAgent(context_of())
    draws = np.array([agent.propose() for _ in range(2000)])
    low = np.array([0.1, 0.25])
    shares = (draws - low) / (1 - low)
    assert shares.min() >= 0
    assert shares.max() <= 1
    assert shares.mean(0) == pytest.approx(0.5, abs=0.03)
    assert shares.std(0) == pytest.approx(12**-0.5, abs=0.02)


def test_random_ratios_are_no_larger_than_an_earlier_search_left_them():
    agent = RandomAgent(context_of(problems.channels("", base=(0.3, 0.75))))
    draws = np.array([agent.propose() for _ in range(300)])
    assert draws.max(0) == pytest.approx([0.3, 0.75], abs=0.02)
    assert (draws.max(0) <= [0.3, 0.75]).all()


def test_random_search_does_not_learn():
    one, other = RandomAgent(context_of()), RandomAgent(context_of())
    one.learn(episode([0.5, 0.5], -1.0), own=True)
    assert one.propose().tolist() == other.propose().tolist()


def test_tpe_learns_what_was_executed_and_not_what_it_proposed():
    agent = TpeAgent(context_of())
    for _ in range(3):
        agent.propose()
    agent.learn(episode([0.3, 0.75], -0.5), own=True)
    agent.learn(episode([0.4, 0.5], -0.25), own=False)
    complete = [trial for trial in agent._study.trials if trial.state.name == "COMPLETE"]
    assert [list(trial.params.values()) for trial in complete] == [[0.3, 0.75], [0.4, 0.5]]
    assert [trial.value for trial in complete] == [-0.5, -0.25]
    states = [trial.state.name for trial in agent._study.trials]
    assert states == ["FAIL"] * 3 + ["COMPLETE"] * 2


def test_tpe_refuses_a_policy_of_other_decisions():
    with pytest.raises(ValueError, match="zip"):
        TpeAgent(context_of()).learn(episode([0.3], -0.5), own=True)


def test_tpe_proposes_more_of_what_was_rewarded():
    agent = TpeAgent(context_of())
    rng = np.random.default_rng(0)
    for executed in rng.uniform((0.1, 0.25), 1, size=(60, 2)):
        agent.learn(episode(executed, executed[1] - executed[0]), own=False)
    first, second = np.mean([agent.propose() for _ in range(20)], axis=0)
    assert first < 0.35
    assert second > 0.8


def test_tpe_proposes_ratios_in_the_order_of_the_decisions():
    """Of twelve, all fixed: the middle of [k/100, k/100] can only be k/100."""
    problem = problems.weights("")
    problem.decisions = problem.decisions * 4
    problem.sizes = np.full(12, 100)
    problem.lowest = problem.highest = np.arange(12) + 1
    ratios = TpeAgent(context_of(problem)).propose()
    assert ratios == pytest.approx((np.arange(12) + 1) / 100)


def test_making_tpe_logs_nothing():
    heard = []
    handler = logging.Handler()
    handler.emit = heard.append
    logger = logging.getLogger("optuna")
    logger.addHandler(handler)
    try:
        TpeAgent(context_of())
    finally:
        logger.removeHandler(handler)
    assert not heard


class Optimizer:
    """Stands for the library's: keeps what it is told; samples are 0.30, 0.31 and so on."""

    population_size = 3

    def __init__(self, mean, sigma, bounds, seed):
        self.mean = mean.tolist()
        self.sigma = sigma
        self.bounds = bounds.tolist()
        self.seed = seed
        self.asked = 0
        self.told = []

    def ask(self):
        self.asked += 1
        return np.full(len(self.mean), 0.29 + 0.01 * self.asked)

    def tell(self, generation):
        self.told.append([(sample.tolist(), value) for sample, value in generation])


def watched(problem=None, seed=0):
    """CMA-ES with an optimizer that tells what it was asked."""
    agent = CmaEsAgent(context_of(problem, seed))
    agent._library = type("Library", (), {"CMA": Optimizer})
    return agent


def test_cma_es_begins_in_the_middle_with_a_spread_of_a_fifth():
    agent = watched(seed=5)
    assert agent.propose().tolist() == pytest.approx([0.3, 0.3])
    optimizer = agent._optimizer
    assert optimizer.mean == pytest.approx([0.55, 0.625]), "of 0.1 to 1 and of 0.25 to 1"
    assert optimizer.bounds == [[0.1, 1.0], [0.25, 1.0]]
    assert optimizer.sigma == 0.2
    assert optimizer.seed == 5


def test_cma_es_is_told_of_whole_generations_in_which_less_is_better():
    agent = watched()
    for reward in (-0.5, -0.25, 1.0, 2.0):
        agent.propose()
        agent.learn(episode([0.9, 0.9], reward), own=True)
    (generation,) = agent._optimizer.told
    assert [value for _, value in generation] == [0.5, 0.25, -1.0]
    assert [sample[0] for sample, _ in generation] == pytest.approx([0.30, 0.31, 0.32])

    for reward in (3.0, 4.0):
        agent.propose()
        agent.learn(episode([0.9, 0.9], reward), own=True)
    assert [value for _, value in agent._optimizer.told[1]] == [-2.0, -3.0, -4.0]


def test_cma_es_begins_at_the_best_policy_it_was_shown():
    agent = watched()
    agent.learn(episode([0.2, 0.3], -2.0), own=False)
    agent.learn(episode([0.4, 0.5], -1.0), own=False)
    agent.learn(episode([0.6, 0.7], -1.0), own=False)
    agent.learn(episode([0.8, 0.9], -3.0), own=False)
    agent.propose()
    assert agent._optimizer.mean == [0.4, 0.5]


def test_cma_es_begins_within_its_bounds_where_rounding_left_them():
    agent = watched()
    agent.learn(episode([0.1 - 1e-16, 1 + 1e-15], -2.0), own=False)
    agent.propose()
    assert agent._optimizer.mean == [0.1, 1.0]


def test_what_is_shown_once_cma_es_has_begun_moves_nothing():
    agent = watched()
    agent.propose()
    agent.learn(episode([0.2, 0.3], -2.0), own=False)
    assert agent._start == pytest.approx([0.55, 0.625])
    assert agent._best_shown == -np.inf
    assert not agent._generation


def test_an_own_episode_before_cma_es_proposed_anything_teaches_it_nothing():
    agent = watched()
    agent.learn(episode([0.2, 0.3], -2.0), own=True)
    agent.propose()
    assert agent._optimizer.mean == pytest.approx([0.55, 0.625])
    assert not agent._generation


def test_cma_es_leaves_decisions_without_a_choice_whole():
    agent = watched(without_choice(0))
    agent.learn(episode([1.0, 0.5], -2.0), own=False)
    assert agent.propose() == pytest.approx([1.0, 0.3])
    assert agent._optimizer.mean == [0.5]
    assert agent._optimizer.bounds == [[0.25, 1.0]]
    assert agent.propose() == pytest.approx([1.0, 0.31])


def test_cma_es_proposes_the_only_policy_where_there_is_no_choice():
    agent = watched(without_choice(0, 1))
    assert agent.propose().tolist() == [1.0, 1.0]
    agent.learn(episode([1.0, 1.0], -2.0), own=True)
    assert agent.propose().tolist() == [1.0, 1.0]
    assert agent._optimizer is None


def test_without_its_package_cma_es_says_what_to_install(monkeypatch):
    monkeypatch.setitem(sys.modules, "cmaes", None)
    with pytest.raises(MissingPackageError, match=r"^cmaes is needed.*sartor\[agents\]"):
        CmaEsAgent(context_of())
