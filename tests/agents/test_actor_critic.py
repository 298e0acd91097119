import copy

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from sartor.agents import _actor_critic
from sartor.agents._actor_critic import ActorCritic
from sartor.agents._replay import Batch


@pytest.fixture
def networks():
    """Two features, one action, hidden layers of three and four units."""
    made = ActorCritic(2, 1, (3, 4), seed=0, discount=0.5)
    rng = torch.Generator().manual_seed(1)
    for network in (made.actor_target, made.critic_target):  # so that lag can be told from none
        for parameter in network.parameters():
            parameter.data = torch.randn(parameter.shape, generator=rng)
    return made


BATCH = Batch(
    state=torch.tensor([[0.1, 0.9], [0.4, 0.3]]),
    action=torch.tensor([[0.2], [0.8]]),
    reward=torch.tensor([[1.0], [-2.0]]),
    following=torch.tensor([[0.4, 0.3], [0.7, 0.6]]),
    terminal=torch.tensor([[0.0], [1.0]]),
)


def linear(x, layer):
    return x @ layer.weight.detach().numpy().T + layer.bias.detach().numpy()


def act(network, state):
    """The actor, written out: two layers with ReLU, a sigmoid at the end."""
    hidden = np.maximum(linear(state, network.first), 0)
    hidden = np.maximum(linear(hidden, network.second), 0)
    return 1 / (1 + np.exp(-linear(hidden, network.out)))


def value(network, state, action):
    """The critic, written out: the action enters the second layer."""
    hidden = np.maximum(linear(state, network.first), 0)
    hidden = np.concatenate([hidden, action], axis=1)
    return linear(np.maximum(linear(hidden, network.second), 0), network.out)


def test_numbers_are_those_of_the_papers():
    assert _actor_critic.ACTOR_RATE == 1e-4
    assert _actor_critic.CRITIC_RATE == 1e-3
    assert _actor_critic.TAU == 0.01


def test_the_target_is_the_reward_and_what_the_lagging_networks_expect_of_the_next_state(networks):
    following = BATCH.following.numpy()
    expected = value(networks.critic_target, following, act(networks.actor_target, following))
    found = networks.targets(BATCH).numpy()
    assert found[0, 0] == pytest.approx(1.0 + 0.5 * expected[0, 0], abs=1e-5)
    assert found[1, 0] == pytest.approx(-2.0), "the last step of an episode has no future"
    assert expected[1, 0] != pytest.approx(0.0, abs=1e-3)


def test_actions_are_those_of_the_actor_and_not_of_its_target(networks):
    state = np.array([0.1, 0.9], dtype=np.float32)
    expected = act(networks.actor, state[None])[0]
    assert networks.act(state) == pytest.approx(expected, abs=1e-6)
    assert act(networks.actor_target, state[None])[0] != pytest.approx(expected, abs=1e-3)


def test_the_critic_says_one_number_of_each_state(networks):
    assert networks.critic(BATCH.state, BATCH.action).shape == (2, 1)


def adam_step(parameters, gradients, rate):
    """The first step of Adam: every parameter moves by its rate against its gradient's sign."""
    return [
        parameter - rate * gradient / (gradient.abs() + 1e-8)
        for parameter, gradient in zip(parameters, gradients, strict=True)
    ]


def test_an_update_moves_critic_then_actor_then_the_targets_by_a_hundredth(networks):
    before = copy.deepcopy(networks)
    networks.update(BATCH)

    actor, critic = before.actor, before.critic
    loss = F.mse_loss(critic(BATCH.state, BATCH.action), before.targets(BATCH))
    gradients = torch.autograd.grad(loss, list(critic.parameters()))
    moved = adam_step(list(critic.parameters()), gradients, 1e-3)
    for found, expected in zip(networks.critic.parameters(), moved, strict=True):
        torch.testing.assert_close(found, expected, rtol=0, atol=1e-6)

    critic.load_state_dict(networks.critic.state_dict())  # the actor climbs the moved critic
    gain = -critic(BATCH.state, actor(BATCH.state)).mean()
    gradients = torch.autograd.grad(gain, list(actor.parameters()))
    moved = adam_step(list(actor.parameters()), gradients, 1e-4)
    for found, expected in zip(networks.actor.parameters(), moved, strict=True):
        torch.testing.assert_close(found, expected, rtol=0, atol=1e-6)

    for name in ("actor", "critic"):
        fast = getattr(networks, name).parameters()
        slow = getattr(networks, f"{name}_target").parameters()
        old = getattr(before, f"{name}_target").parameters()
        for now, was, goal in zip(slow, old, fast, strict=True):
            torch.testing.assert_close(now, was + 0.01 * (goal - was))


def test_updates_one_after_the_other_forget_the_gradients_of_those_before(networks):
    again = copy.deepcopy(networks)
    again._critic_optimizer = torch.optim.Adam(again.critic.parameters(), 1e-3)
    again._actor_optimizer = torch.optim.Adam(again.actor.parameters(), 1e-4)
    for made in (networks, again):
        made.update(BATCH)
    for parameter in [*again.actor.parameters(), *again.critic.parameters()]:
        parameter.grad = None
    for made in (networks, again):
        made.update(BATCH)
    for network in ("actor", "critic"):
        for one, other in zip(
            getattr(networks, network).parameters(),
            getattr(again, network).parameters(),
            strict=True,
        ):
            assert torch.equal(one, other)


def test_targets_begin_as_copies():
    made = ActorCritic(2, 3, (3, 4), seed=0, discount=1.0)
    for one, other in ((made.actor, made.actor_target), (made.critic, made.critic_target)):
        assert one is not other
        for fast, slow in zip(one.parameters(), other.parameters(), strict=True):
            assert torch.equal(fast, slow)
            assert fast is not slow
    assert made.act(np.zeros(2, np.float32)).shape == (3,)


def test_the_seed_decides_how_networks_begin_and_the_global_generator_is_left_alone():
    state = torch.random.get_rng_state()
    one, same, other = (ActorCritic(2, 1, (3, 4), seed, discount=1.0) for seed in (0, 0, 1))
    assert torch.equal(one.actor.out.weight, same.actor.out.weight)
    assert not torch.equal(one.actor.out.weight, other.actor.out.weight)
    assert torch.equal(state, torch.random.get_rng_state())


def test_last_layers_may_begin_small():
    made = ActorCritic(2, 1, (3, 4), seed=0, discount=1.0, last_layer=3e-3)
    for network in (made.actor, made.critic, made.actor_target, made.critic_target):
        weights = network.out.weight
        assert -3e-3 <= weights.min() < 0 < weights.max() <= 3e-3
        assert 0 < network.out.bias.abs().max() < 3e-3
        assert network.second.weight.abs().max() > 3e-2
    assert made.act(np.ones(2, np.float32)) == pytest.approx(0.5, abs=0.01)
