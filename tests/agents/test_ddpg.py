import dataclasses

import numpy as np
import pytest

from sartor.agents import Trajectory, _ddpg
from sartor.agents._ddpg import DdpgAgent


def trajectory(seed, reward, steps=4):
    rng = np.random.default_rng(seed)
    observations = rng.uniform(size=(steps + 1, 11)).astype(np.float32)
    return Trajectory(observations, rng.uniform(size=steps), reward)


def spied(agent):
    """Batches that the networks are updated with; they learn nothing."""
    batches = []
    agent._networks.update = batches.append
    return batches


def of_episodes(context, episodes):
    return DdpgAgent(dataclasses.replace(context, episodes=episodes))


def test_numbers_are_those_of_the_paper():
    assert _ddpg.HIDDEN == (300, 300)
    assert _ddpg.BATCH == 64
    assert _ddpg.REPLAY == 2000
    assert _ddpg.GAMMA == 1
    assert _ddpg.SIGMA == 0.5
    assert _ddpg.SIGMA_DECAY == 0.95
    assert _ddpg.EXPLORED == 100


def test_networks_and_memory_have_their_sizes(context):
    agent = DdpgAgent(context)
    actor, critic = agent._networks.actor, agent._networks.critic
    assert actor.first.weight.shape == (300, 11)
    assert actor.second.weight.shape == (300, 300)
    assert actor.out.weight.shape == (1, 300)
    assert critic.first.weight.shape == (300, 11)
    assert critic.second.weight.shape == (300, 301)
    assert agent._networks._discount == 1
    assert agent._memory._rows.shape == (2000, 11 + 11 + 1 + 2)


def test_what_is_stored_is_what_was_seen_and_executed_with_the_reward_of_the_episode(context):
    agent, episode = DdpgAgent(context), trajectory(1, -0.3)
    agent.learn(episode, own=True)
    assert agent._memory.stored == 4
    for step in range(4):
        state, following = episode.observations[step], episode.observations[step + 1]
        expected = [*state, *following, episode.executed[step], -0.3, float(step == 3)]
        assert agent._memory._rows[step] == pytest.approx(np.array(expected, np.float32))


def test_the_baseline_is_a_moving_average_of_earlier_rewards(context):
    """One of −1, then one of −2: b is −1 after the first and −1 + 0.05 · (−1) after the second."""
    agent = DdpgAgent(context)
    batches = spied(agent)
    agent.learn(trajectory(0, -1.0, steps=64), own=True)
    assert batches == [], "there is no earlier reward"

    agent.learn(trajectory(1, -2.0, steps=3), own=True)
    assert len(batches) == 3, "one update for every step"
    rewards = np.unique(np.concatenate([batch.reward.numpy().ravel() for batch in batches]))
    assert rewards == pytest.approx([-1.0, 0.0])

    agent.learn(trajectory(2, -4.0, steps=3), own=True)
    rewards = np.unique(np.concatenate([batch.reward.numpy().ravel() for batch in batches[3:]]))
    baseline = -1.05
    known = np.array([-4.0, -2.0, -1.0]) - baseline
    assert set(rewards.round(5)) <= set(known.astype(np.float32).round(5))
    assert -1.0 - baseline == pytest.approx(rewards.max(), abs=1e-6)


def test_updates_wait_for_a_batch_of_transitions(context):
    agent = DdpgAgent(context)
    batches = spied(agent)
    agent.learn(trajectory(0, -1.0, steps=31), own=True)
    agent.learn(trajectory(1, -1.0, steps=32), own=True)
    assert not batches
    agent.learn(trajectory(2, -1.0, steps=1), own=True)
    assert len(batches) == 1
    assert batches[0].state.shape == (64, 11)


def test_states_of_a_batch_go_with_their_actions(context):
    agent = DdpgAgent(context)
    batches = spied(agent)
    episode = trajectory(0, -1.0, steps=64)
    agent.learn(episode, own=False)
    agent.learn(trajectory(1, -1.0, steps=1), own=True)
    places = {float(state[0]): place for place, state in enumerate(episode.observations)}
    batch = batches[0]
    for state, action, following, terminal in zip(
        batch.state, batch.action, batch.following, batch.terminal, strict=True
    ):
        place = places.get(float(state[0]))
        if place is not None:  # else it is of the second episode
            assert float(action) == pytest.approx(episode.executed[place])
            assert following.numpy() == pytest.approx(episode.observations[place + 1])
            assert float(terminal) == (place == 63)


@pytest.mark.parametrize(
    ("episodes", "done", "sigma"),
    [
        (400, 0, 0.5),
        (400, 100, 0.5),
        (400, 101, 0.5 * 0.95),
        (400, 110, 0.5 * 0.95**10),
        (2000, 100, 0.5),
        (2000, 101, 0.5 * 0.95),
        (40, 10, 0.5),
        (40, 11, 0.5 * 0.95),
    ],
)
def test_exploration_is_constant_for_a_quarter_but_at_most_100_episodes(
    episodes, done, sigma, context
):
    agent = of_episodes(context, episodes)
    for _ in range(done):
        agent.learn(trajectory(0, -1.0, steps=0), own=True)
    assert agent.sigma == pytest.approx(sigma)


def test_episodes_of_others_do_not_shorten_the_exploration(context):
    agent = of_episodes(context, 4)
    for _ in range(5):
        agent.learn(trajectory(0, -1.0, steps=0), own=False)
    assert agent.sigma == 0.5


def test_proposals_lie_around_what_the_actor_would_do(context):
    agent = of_episodes(context, 4)
    observation = np.full(11, 0.5, dtype=np.float32)
    mean = float(agent._networks.act(observation)[0])
    wide = [agent.act(observation, 0) for _ in range(200)]
    assert np.std(wide) == pytest.approx(0.27, abs=0.04), "nearly even: σ = 0.5 on [0, 1]"
    for _ in range(300):
        agent.learn(trajectory(0, -1.0, steps=0), own=True)
    assert agent.act(observation, 0) == pytest.approx(mean)


def test_after_enough_episodes_it_prefers_what_was_rewarded(context):
    agent = DdpgAgent(context)
    rng = np.random.default_rng(0)
    observations = rng.uniform(size=(len(context.problem) + 1, 11)).astype(np.float32)
    before = np.mean([agent._networks.act(o)[0] for o in observations[:-1]])
    for _ in range(60):
        executed = rng.uniform(0.1, 1, len(context.problem))
        agent.learn(Trajectory(observations, executed, -float(executed.mean())), own=True)
    after = np.mean([agent._networks.act(o)[0] for o in observations[:-1]])
    assert after < before - 0.1
