from dataclasses import replace

import numpy as np
import pytest
import torch

import topologies
from sartor.agents import AGENTS, RULES, SearchContext, Trajectory
from sartor.budget import Budget
from sartor.compression import CompressOptions, Compressor
from sartor.cost import CostModel
from sartor.errors import UsageError
from sartor.graph import trace
from sartor.policy import Policy
from sartor.problem import Problem, SearchSpace
from sartor.testing import AgentConformance


@pytest.fixture(scope="module")
def setting():
    network = trace(
        topologies.randomized(topologies.SqueezeExcitation()), torch.randn(1, 3, 16, 16)
    )
    compressor = Compressor(network, torch.randn(32, 3, 16, 16), CompressOptions())
    problem = Problem.of(
        compressor.cost_model, Budget.parse("macs<=50%"), SearchSpace(min_keep=0.1)
    )
    errors = [compressor.ranking.errors[d.name][d.choices] for d in problem.decisions]
    return SearchContext(problem, 11, 40, errors, seed=0)


@pytest.fixture(scope="module")
def narrowed(setting):
    """The same after an earlier search, which left one decision without a choice."""
    names = [decision.name for decision in setting.problem.decisions]
    base = Policy(channels=dict(zip(names, (0.05, 0.5, 0.75, 1.0), strict=True)))
    return limited(
        setting,
        Problem.of(
            setting.problem.cost_model,
            Budget.parse("macs<=30%"),
            SearchSpace(min_keep=0.1),
            base=base,
        ),
    )


def limited(setting, problem):
    """The same for a problem that has fewer choices."""
    levels = [
        np.searchsorted(wide.choices, d.choices)
        for wide, d in zip(setting.problem.decisions, problem.decisions, strict=True)
    ]
    errors = [error[level] for error, level in zip(setting.errors, levels, strict=True)]
    return replace(setting, problem=problem, errors=errors)


@pytest.mark.parametrize("name", AGENTS.names)
@pytest.mark.parametrize("which", ["setting", "narrowed"])
class TestEveryAgent(AgentConformance):
    @pytest.fixture
    def make(self, name, which, request):
        return lambda: AGENTS.get(name)(request.getfixturevalue(which))


@pytest.mark.parametrize(
    "name", ["random", "tpe", "cma-es", "evolution", "uniform", "greedy", "knapsack"]
)
def test_no_more_is_proposed_than_an_earlier_search_kept(name, narrowed):
    problem, agent = narrowed.problem, AGENTS.get(name)(narrowed)
    assert problem.lowest[0] == problem.highest[0]
    assert (problem.highest < problem.sizes).sum() == 3
    for _ in range(10):
        agent.begin()
        proposal = np.array(
            [agent.act(np.zeros(11, np.float32), step) for step in range(len(problem))]
        )
        assert (proposal <= problem.highest / problem.sizes + 1e-9).all()
        counts = problem.execute(proposal)
        agent.learn(
            Trajectory(
                np.zeros((len(problem) + 1, 11), np.float32),
                counts / problem.sizes,
                -proposal.sum(),
            ),
            own=True,
        )


@pytest.mark.parametrize(
    "name", [name for name in AGENTS.names if name != "random" and name not in RULES]
)
def test_episodes_of_others_change_what_is_proposed(name, setting):
    problem, rng = setting.problem, np.random.default_rng(0)
    observations = rng.uniform(size=(len(problem) + 1, 11)).astype(np.float32)
    shown = [problem.execute(rng.uniform(size=len(problem))) / problem.sizes for _ in range(40)]

    def proposals(of_others):
        agent, proposed = AGENTS.get(name)(setting), []
        for executed in of_others:
            agent.learn(Trajectory(observations, executed, -float(executed.mean())), own=False)
        for _ in range(12):  # of its own, ten of them drawn at random by some
            agent.begin()
            proposed.append([agent.act(observations[step], step) for step in range(len(problem))])
            executed = problem.execute(np.array(proposed[-1])) / problem.sizes
            agent.learn(Trajectory(observations, executed, -float(executed.mean())), own=True)
        return proposed

    assert proposals(shown) != proposals([])


def reward_near(problem, wanted, counts):
    return -float(np.square(counts / problem.sizes - wanted).mean())


@pytest.mark.parametrize("name", ["tpe", "cma-es", "evolution"])
def test_searches_beat_random_on_a_smooth_reward(name, setting):
    problem = setting.problem
    wanted = problem.execute(np.array([0.9, 0.2, 0.8, 0.3])) / problem.sizes

    def late_mean_of(agent):
        rewards = []
        for _ in range(40):
            agent.begin()
            counts = problem.execute(
                np.array(
                    [agent.act(np.zeros(11, np.float32), step) for step in range(len(problem))]
                )
            )
            reward = reward_near(problem, wanted, counts)
            agent.learn(
                Trajectory(
                    np.zeros((len(problem) + 1, 11), np.float32), counts / problem.sizes, reward
                ),
                own=True,
            )
            rewards.append(reward)
        return np.mean(rewards[-10:])

    assert late_mean_of(AGENTS.get(name)(setting)) > late_mean_of(AGENTS.get("random")(setting))


def test_where_choices_are_few_every_policy_is_projected_once_a_proposal(setting, monkeypatch):
    """A proposal used to project hundreds of mutants, all of them known."""
    problem = Problem.of(
        setting.problem.cost_model,
        Budget.parse("macs<=60%"),
        SearchSpace(min_keep=0.1, multiple=4),
    )
    policies = int(np.prod([len(decision.choices) for decision in problem.decisions]))
    assert policies < 50
    agent = AGENTS.get("evolution")(limited(setting, problem))
    projected, execute = [], problem.execute
    monkeypatch.setattr(
        problem, "execute", lambda ratios: projected.append(ratios) or execute(ratios)
    )
    for episode in range(30):
        projected.clear()
        agent.begin()
        counts = execute(
            np.array([agent.act(np.zeros(11, np.float32), step) for step in range(len(problem))])
        )
        agent.learn(
            Trajectory(np.zeros((len(problem) + 1, 11), np.float32), counts / problem.sizes, -1.0),
            own=True,
        )
        assert episode < 8 or 1 <= len(projected) <= policies  # by then the surrogate leads


def test_ddpg_learns_which_action_is_rewarded(setting):
    """After enough episodes the undisturbed actor prefers what was rewarded: keep little."""
    agent = AGENTS.get("ddpg")(setting)
    rng = np.random.default_rng(0)
    observations = rng.uniform(size=(len(setting.problem) + 1, 11)).astype(np.float32)
    before = np.mean([agent._networks.act(o)[0] for o in observations[:-1]])
    for _ in range(60):
        executed = rng.uniform(0.1, 1, len(setting.problem))
        agent.learn(Trajectory(observations, executed, -float(executed.mean())), own=True)
    after = np.mean([agent._networks.act(o)[0] for o in observations[:-1]])
    assert after < before - 0.1


def test_the_exact_allocation_is_never_worse_than_greedy_or_uniform(setting):
    problem = setting.problem

    def total(rule):
        counts = problem.execute(RULES.get(rule)(setting))
        assert problem.usage(counts[None])[0] <= 1 + 1e-9
        return sum(
            float(error[np.searchsorted(d.choices, c)])
            for d, error, c in zip(problem.decisions, setting.errors, counts, strict=True)
        )

    assert total("knapsack") <= total("greedy") + 1e-12
    assert total("knapsack") <= total("uniform") + 1e-12


def test_greedy_stops_where_nothing_is_left_to_give_up(setting, monkeypatch):
    network = setting.problem.cost_model.network
    problem = Problem.of(CostModel(network), Budget.parse("macs<=50%"), SearchSpace(min_keep=0.1))
    macs = problem.total
    monkeypatch.setattr(
        problem, "usage", lambda counts: macs("macs", counts)
    )  # as when measuring shows it is out of reach
    assert np.array_equal(
        RULES.get("greedy")(replace(setting, problem=problem)), problem.lowest / problem.sizes
    )


def test_hand_made_rules_slope_as_their_names_say(setting):
    shallow, deep = (RULES.get(rule)(setting) for rule in ("shallow", "deep"))
    assert (np.diff(shallow) >= 0).all()
    assert (np.diff(deep) <= 0).all()


def test_unknown_agents_are_refused_by_name(setting):
    with pytest.raises(
        UsageError, match=r"agent 'sarsa' is not known; allowed are ddpg, galen, evolution"
    ):
        AGENTS.get("sarsa")(setting)


def test_greedy_gives_up_a_twentieth_at_a_time_also_of_few_choices(setting):
    problem = Problem.of(
        setting.problem.cost_model,
        Budget.parse("macs<=90%"),
        SearchSpace(min_keep=0.1, multiple=8),
    )
    few = limited(setting, problem)
    counts = problem.execute(RULES.get("greedy")(few))
    places = [
        int(np.searchsorted(d.choices, count))
        for d, count in zip(problem.decisions, counts, strict=True)
    ]
    lost = [len(d.choices) - 1 - place for d, place in zip(problem.decisions, places, strict=True)]
    assert 0 < max(lost) <= 2
