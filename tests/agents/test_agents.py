from dataclasses import replace

import numpy as np
import pytest

import small_problems as problems
from sartor.agents import AGENTS, RULES, Trajectory, _galen
from sartor.budget import Budget
from sartor.cost import CostModel
from sartor.errors import UsageError
from sartor.problem import Problem, SearchSpace
from sartor.testing import AgentConformance


@pytest.mark.parametrize("name", AGENTS.names)
@pytest.mark.parametrize("which", ["context", "narrowed"])
class TestEveryAgent(AgentConformance):
    @pytest.fixture
    def make(self, name, which, request):
        return lambda: AGENTS.get(name)(request.getfixturevalue(which))


BOTH = ((8, 8), (32, 32))
MIX = tuple((w, a) for w in range(1, 7) for a in range(1, 7)) + BOTH


@pytest.mark.parametrize("budget", ["", "bops<=30%"])
@pytest.mark.parametrize(
    ("methods", "precisions"),
    [
        (("prune", "quantize"), BOTH),
        (("prune", "quantize"), MIX),
        (("quantize",), MIX),
        (("prune",), BOTH),
    ],
)
class TestGalenWithBits(AgentConformance):
    """With small networks, which have the same contract and are faster."""

    @pytest.fixture
    def make(self, methods, precisions, budget, monkeypatch):
        monkeypatch.setattr(_galen, "HIDDEN", (8, 8))
        monkeypatch.setattr(_galen, "BATCH", 16)
        context = problems.context_of(problems.joint(budget, methods, precisions))
        return lambda: AGENTS.get("galen")(context)


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
def test_episodes_of_others_change_what_is_proposed(name, context):
    problem, rng = context.problem, np.random.default_rng(0)
    observations = rng.uniform(size=(len(problem) + 1, 11)).astype(np.float32)
    shown = [problem.execute(rng.uniform(size=len(problem))) / problem.sizes for _ in range(40)]

    def proposals(of_others):
        agent, proposed = AGENTS.get(name)(context), []
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
def test_searches_beat_random_on_a_smooth_reward(name, context):
    problem = context.problem
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

    assert late_mean_of(AGENTS.get(name)(context)) > late_mean_of(AGENTS.get("random")(context))


def test_where_choices_are_few_every_policy_is_projected_once_a_proposal(
    context, limited, monkeypatch
):
    """Mutants that are known already are told apart before any is projected."""
    problem = Problem.of(
        context.problem.cost_model,
        Budget.parse("macs<=60%"),
        SearchSpace(min_keep=0.1, multiple=4),
    )
    policies = int(np.prod([len(decision.choices) for decision in problem.decisions]))
    assert policies < 50
    agent = AGENTS.get("evolution")(limited(context, problem))
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


def test_the_exact_allocation_is_never_worse_than_greedy_or_uniform(context):
    problem = context.problem

    def total(rule):
        counts = problem.execute(RULES.get(rule)(context))
        assert problem.usage(counts[None])[0] <= 1 + 1e-9
        return sum(
            float(error[np.searchsorted(d.choices, c)])
            for d, error, c in zip(problem.decisions, context.errors, counts, strict=True)
        )

    assert total("knapsack") <= total("greedy") + 1e-12
    assert total("knapsack") <= total("uniform") + 1e-12


def test_greedy_stops_where_nothing_is_left_to_give_up(context, monkeypatch):
    network = context.problem.cost_model.network
    problem = Problem.of(CostModel(network), Budget.parse("macs<=50%"), SearchSpace(min_keep=0.1))
    macs = problem.total
    monkeypatch.setattr(
        problem, "usage", lambda counts: macs("macs", counts)
    )  # as when measuring shows it is out of reach
    assert np.array_equal(
        RULES.get("greedy")(replace(context, problem=problem)), problem.lowest / problem.sizes
    )


def test_hand_made_rules_slope_as_their_names_say(context):
    shallow, deep = (RULES.get(rule)(context) for rule in ("shallow", "deep"))
    assert (np.diff(shallow) >= 0).all()
    assert (np.diff(deep) <= 0).all()


def test_unknown_agents_are_refused_by_name(context):
    with pytest.raises(
        UsageError, match=r"agent 'sarsa' is not known; allowed are ddpg, galen, evolution"
    ):
        AGENTS.get("sarsa")(context)


def test_greedy_gives_up_a_twentieth_at_a_time_also_of_few_choices(context, limited):
    problem = Problem.of(
        context.problem.cost_model,
        Budget.parse("macs<=90%"),
        SearchSpace(min_keep=0.1, multiple=8),
    )
    few = limited(context, problem)
    counts = problem.execute(RULES.get("greedy")(few))
    places = [
        int(np.searchsorted(d.choices, count))
        for d, count in zip(problem.decisions, counts, strict=True)
    ]
    lost = [len(d.choices) - 1 - place for d, place in zip(problem.decisions, places, strict=True)]
    assert 0 < max(lost) <= 2
