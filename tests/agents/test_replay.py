import numpy as np
import torch

from sartor.agents._replay import Replay


def row(number):
    """A transition of two features and one action that says its number everywhere."""
    state = np.array([number, number + 0.1], dtype=np.float32)
    following = np.array([number + 0.2, number + 0.3], dtype=np.float32)
    return state, following, np.array([number + 0.4], dtype=np.float32), number + 0.5


def test_a_batch_holds_each_part_of_its_transitions():
    memory = Replay(8, 2, 1)
    memory.add(*row(3), terminal=True)
    batch = memory.sample(2, np.random.default_rng(0))
    for _ in range(2):
        torch.testing.assert_close(batch.state, torch.tensor([[3.0, 3.1]] * 2))
        torch.testing.assert_close(batch.following, torch.tensor([[3.2, 3.3]] * 2))
        torch.testing.assert_close(batch.action, torch.tensor([[3.4]] * 2))
        torch.testing.assert_close(batch.reward, torch.tensor([[3.5]] * 2))
        assert torch.equal(batch.terminal, torch.ones(2, 1))


def test_the_oldest_transitions_make_room():
    memory = Replay(3, 2, 1)
    for number in range(5):
        memory.add(*row(number), terminal=False)
    assert memory.stored == 5
    batch = memory.sample(200, np.random.default_rng(0))
    assert sorted(set(batch.state[:, 0].tolist())) == [2.0, 3.0, 4.0]
    assert not batch.terminal.any()


def test_only_what_was_stored_is_drawn():
    memory = Replay(100, 2, 1)
    for number in range(3):
        memory.add(*row(number), terminal=False)
    batch = memory.sample(200, np.random.default_rng(0))
    assert sorted(set(batch.state[:, 0].tolist())) == [0.0, 1.0, 2.0]
