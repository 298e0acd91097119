import functools
from dataclasses import replace

import numpy as np
import pytest
import torch

import topologies
from sartor.agents import SearchContext, Trajectory, _galen
from sartor.agents._galen import GalenAgent
from sartor.budget import Budget
from sartor.compression import CompressOptions, Compressor
from sartor.graph import trace
from sartor.problem import Problem, SearchSpace

BOTH = ((8, 8), (32, 32))


@functools.cache
def context_of(precisions=BOTH, methods=("prune", "quantize"), budget=""):
    network = trace(
        topologies.randomized(topologies.Residual()), topologies.example_inputs(topologies.Residual)
    )
    compressor = Compressor(network, torch.randn(32, 3, 16, 16), CompressOptions())
    table = {layer.name: precisions for layer in network.layers}
    space = SearchSpace(methods=methods, precisions=table)
    problem = Problem.of(compressor.cost_model, Budget.parse(budget), space)
    errors = [decision.errors(compressor) for decision in problem.decisions]
    return SearchContext(problem, 11, 40, errors, 0)


@pytest.fixture
def context():
    return context_of()


def play(agent, reward=-1.0):
    """An episode of its own; the counts executed."""
    problem = agent.context.problem
    agent.begin()
    observation = np.zeros(11, np.float32)
    ratios = [agent.act(observation, step) for step in range(len(problem))]
    counts = problem.execute(np.array(ratios))
    observations = np.zeros((len(problem) + 1, 11), np.float32)
    agent.learn(Trajectory(observations, counts / problem.sizes, reward), own=True)
    return counts


def spied(agent):
    """Batches that the networks are updated with; they learn nothing."""
    batches = []
    agent._networks.update = batches.append
    return batches


def test_numbers_are_those_of_the_paper():
    assert _galen.HIDDEN == (400, 300)
    assert _galen.BATCH == 128
    assert _galen.REPLAY == 2000
    assert _galen.GAMMA == 0.99
    assert _galen.SIGMA == 0.5
    assert _galen.SIGMA_DECAY == 0.95
    assert _galen.WARM_UP == 10
    assert GalenAgent.default_reward == "absolute"
    assert GalenAgent.sees_measurements


def test_networks_and_memory_have_their_sizes(context):
    agent = GalenAgent(context)
    features = agent._layers.features + 3
    actor, critic = agent._networks.actor, agent._networks.critic
    assert actor.first.weight.shape == (400, features)
    assert actor.second.weight.shape == (300, 400)
    assert actor.out.weight.shape == (3, 300)
    assert critic.second.weight.shape == (300, 403)
    assert actor.out.weight.abs().max() <= 3e-3
    assert agent._networks._discount == 0.99
    assert agent._memory._rows.shape == (2000, 2 * features + 3 + 2)


@pytest.mark.parametrize("budget", ["", "bops<=30%"])
@pytest.mark.parametrize("episodes_before", [0, 12])
def test_it_learns_from_the_states_it_acted_on_and_from_the_actions_it_took(
    budget, episodes_before
):
    """While it draws at random, and while its actor acts; without a budget and with."""
    context = context_of(budget=budget)
    agent = GalenAgent(context)
    spied(agent)
    for _ in range(episodes_before):
        play(agent)
    stored = agent._memory.stored
    states, actions = [], []
    explore = agent._explore

    def watched(state):
        states.append(state.astype(np.float32))
        actions.append(explore(state))
        return actions[-1]

    agent._explore = watched
    play(agent, reward=-0.7)
    steps = len(agent._steps)
    assert len(states) == steps
    for index in range(steps):
        last = index == steps - 1
        following = states[index if last else index + 1]
        row = [*states[index], *following, *actions[index], -0.7, float(last)]
        assert np.array_equal(agent._memory._rows[stored + index], np.array(row, np.float32))


def test_the_state_is_that_of_the_network_as_far_as_it_is_compressed():
    context = context_of(budget="bops<=30%")
    agent = GalenAgent(context)
    counts = play(agent)
    previous = np.zeros(3)
    for index, step in enumerate(agent._steps):
        row = agent._layers.row(index, counts[: step.columns[0]])
        features = len(row)
        stored = agent._memory._rows[index]
        assert stored[:features] == pytest.approx(row, abs=1e-5)
        assert stored[features : features + 3] == pytest.approx(previous)
        width = 2 * (features + 3)
        previous = stored[width : width + 3]


def test_of_others_episodes_it_learns_the_middle_of_what_leads_to_them(context):
    agent = GalenAgent(context)
    problem = context.problem
    counts = problem.execute(np.full(len(problem), 0.6))
    observations = np.zeros((len(problem) + 1, 11), np.float32)
    agent.learn(Trajectory(observations, counts / problem.sizes, -0.2), own=False)
    features = agent._layers.features
    previous = np.zeros(3)
    for index, step in enumerate(agent._steps):
        stored = agent._memory._rows[index]
        action = stored[2 * (features + 3) : 2 * (features + 3) + 3]
        row = agent._layers.row(index, counts[: step.columns[0]])
        assert stored[:features] == pytest.approx(row, abs=1e-5)
        assert stored[features : features + 3] == pytest.approx(previous, abs=1e-6)
        assert action == pytest.approx(agent._degrees.of(step, counts), abs=1e-6)
        previous = action
    assert agent._episodes == 0


def test_an_episode_of_others_is_not_taken_for_what_was_proposed_before(context):
    agent = GalenAgent(context)
    problem = context.problem
    counts = problem.lowest
    observations = np.zeros((len(problem) + 1, 11), np.float32)
    agent.begin()
    agent.learn(Trajectory(observations, counts / problem.sizes, -0.2), own=False)
    step = agent._steps[0]
    features = agent._layers.features
    action = agent._memory._rows[0][2 * (features + 3) : 2 * (features + 3) + 3]
    assert action == pytest.approx(agent._degrees.of(step, counts), abs=1e-6)


@pytest.mark.parametrize("episodes_before", [0, 1])
def test_of_an_own_episode_that_it_did_not_propose_it_learns_as_of_others(episodes_before, context):
    agent = GalenAgent(context)
    for _ in range(episodes_before):
        play(agent)
    stored = agent._memory.stored
    problem = context.problem
    observations = np.zeros((len(problem) + 1, 11), np.float32)
    agent.learn(Trajectory(observations, problem.lowest / problem.sizes, -0.2), own=True)
    features = agent._layers.features + 3
    action = agent._memory._rows[stored][2 * features : 2 * features + 3]
    expected = agent._degrees.of(agent._steps[0], problem.lowest)
    assert action == pytest.approx(expected, abs=1e-6)


def test_a_batch_is_standardised_by_what_was_seen_until_now(context):
    """States by all rows of the memory, rewards by the moving average.

    That is −1, then 0.05 of the way to −3.
    """
    agent = GalenAgent(context)
    batches = spied(agent)
    for _ in range(40):
        play(agent, reward=-1.0)
    batches.clear()
    play(agent, reward=-3.0)
    rows = agent._memory._rows[: agent._memory.stored]
    features = agent._layers.features + 3
    assert len(batches) == len(agent._steps), "one update for every layer"
    rewards = np.unique(np.concatenate([batch.reward.numpy() for batch in batches]).round(5))
    baseline = -1.0 + 0.05 * (-3.0 + 1.0)
    known = np.array([-3.0, -1.0]) - baseline
    assert set(rewards) <= set(known.astype(np.float32).round(5))
    assert known[1] == pytest.approx(rewards.max(), abs=1e-5)

    states = rows[:, :features].astype(np.float64)
    scale = np.sqrt(states.var(0) + 1e-5)
    wanted = np.sort(((states - states.mean(0)) / scale)[:, -1])
    for batch in batches:
        assert batch.state.dtype == torch.float32
        for part in (batch.state, batch.following):
            found = part.numpy()[:, -1]
            near = np.abs(wanted[:, None] - found[None]).min(0)
            assert near.max() < 1e-3
    assert rows[0, -2] == -1.0, "the memory holds rewards as they are"


def test_updates_wait_for_a_batch_and_for_the_end_of_the_random_episodes(context):
    agent = GalenAgent(context)
    batches = spied(agent)
    steps = len(agent._steps)
    assert 10 * steps < 128
    needed = -(-128 // steps)
    for _ in range(needed - 1):
        play(agent)
    assert not batches
    play(agent)
    assert len(batches) == steps
    assert batches[0].state.shape == (128, agent._layers.features + 3)


def test_others_episodes_fill_the_memory_but_do_not_end_the_random_ones(context):
    agent = GalenAgent(context)
    batches = spied(agent)
    problem = context.problem
    observations = np.zeros((len(problem) + 1, 11), np.float32)
    shown = Trajectory(observations, problem.highest / problem.sizes, -0.2)
    for _ in range(40):
        agent.learn(shown, own=False)
    for _ in range(9):
        play(agent)
    assert not batches
    play(agent)
    assert len(batches) == len(agent._steps)


@pytest.mark.parametrize(("done", "sigma"), [(0, 0.5), (1, 0.5 * 0.95), (20, 0.5 * 0.95**20)])
def test_exploration_shrinks_from_the_first_episode_on(done, sigma, context):
    agent = GalenAgent(context)
    agent._episodes = done
    assert agent.sigma == pytest.approx(sigma)


def test_ten_random_episodes_come_first_and_then_the_actor_acts(context):
    agent = GalenAgent(context)
    spied(agent)
    asked = []
    act = agent._networks.act
    agent._networks.act = lambda state: asked.append(state) or act(state)
    for _ in range(10):
        play(agent)
    assert not asked
    actions = agent._memory._rows[: agent._memory.stored, -5:-2]
    assert 0.4 < actions.mean() < 0.6
    assert actions.std() == pytest.approx(12**-0.5, abs=0.05)
    play(agent)
    assert len(asked) == len(agent._steps)


def test_the_seed_decides_what_is_drawn(context):
    one, same, other = (GalenAgent(replace(context, seed=seed)) for seed in (3, 3, 4))
    first = one.propose().tolist()
    assert same.propose().tolist() == first
    assert other.propose().tolist() != first


def test_the_actor_is_shown_standardised_states(context):
    agent = GalenAgent(context)
    for _ in range(10):
        play(agent)
    rows = agent._memory._rows[: agent._memory.stored].astype(np.float64)
    states = rows[:, : agent._layers.features + 3]
    state = states[3] + 0.5
    shown = []
    agent._networks.act = lambda seen: shown.append(seen) or np.zeros(3, np.float32)
    agent._explore(state)
    expected = (state - states.mean(0)) / np.sqrt(states.var(0) + 1e-5)
    assert shown[0] == pytest.approx(expected, rel=1e-3, abs=1e-3)


def test_proposals_are_what_the_actions_stand_for(context):
    agent = GalenAgent(context)
    agent.begin()
    walk = agent._proposed
    ratios = [agent.act(np.zeros(11, np.float32), step) for step in range(len(context.problem))]
    expected = [
        ratio
        for step, action in zip(agent._steps, walk.actions, strict=True)
        for ratio in agent._degrees.ratios(step, action)
    ]
    assert ratios == expected


def test_it_learns_to_keep_little_where_that_is_rewarded():
    context = context_of(methods=("prune",))
    agent = GalenAgent(context)
    kept = []
    for _ in range(100):
        problem = context.problem
        agent.begin()
        ratios = [agent.act(np.zeros(11, np.float32), step) for step in range(len(problem))]
        executed = problem.execute(np.array(ratios)) / problem.sizes
        observations = np.zeros((len(problem) + 1, 11), np.float32)
        agent.learn(Trajectory(observations, executed, -float(executed.mean())), own=True)
        kept.append(executed.mean())
    assert np.mean(kept[-10:]) < np.mean(kept[:10]) - 0.15
