import numpy as np
import pytest
import torch
from gymnasium.utils.env_checker import check_env

from sartor import models
from sartor.budget import Budget
from sartor.cost import CostModel
from sartor.graph import trace
from sartor.problem import Problem, SearchSpace
from sartor.search import FEATURES, CompressionEnv

RESNET20 = CostModel(trace(models.build("resnet20"), torch.zeros(1, 3, 32, 32)))


def problem(budget="macs<=50%", **options):
    return Problem.of(RESNET20, Budget.parse(budget), SearchSpace(**options))


@pytest.mark.filterwarnings("ignore:.*:UserWarning")
def test_gymnasium_accepts_the_environment():
    check_env(
        CompressionEnv(problem(), lambda counts: None, lambda outcome: -1.0), skip_render_check=True
    )


def test_observations_hold_the_eleven_features_in_their_range():
    task, seen = problem(), []
    env = CompressionEnv(task, lambda counts: seen.append(counts.copy()) or "an outcome", score)
    observation, _ = env.reset(seed=0)
    assert observation.shape == (len(FEATURES),) == (11,)
    assert observation[FEATURES.index("previous_action")] == 1
    reduced = [observation[FEATURES.index("reduced")]]
    for step in range(len(task)):
        observation, reward, done, _, info = env.step(np.array([0.6], np.float32))
        assert ((observation >= 0) & (observation <= 1)).all()
        assert observation[FEATURES.index("previous_action")] == pytest.approx(info["executed"])
        last = step == len(task) - 1
        assert (reward, done, info.get("outcome")) == (
            (-0.25, True, "an outcome") if last else (0.0, False, None)
        )
        reduced.append(observation[FEATURES.index("reduced")])
    assert (np.diff(reduced) >= 0).all()
    assert reduced[-1] == pytest.approx(0.5, abs=0.01)
    assert len(seen) == 1


def score(outcome):
    assert outcome == "an outcome"
    return -0.25


class Chain(torch.nn.Module):
    """Three convolutions of 8 × 8 positions, then a linear layer.

    The convolutions have 64·(9·3·4), 64·(9·4·6) and 64·(9·6·5) MACs.
    """

    def __init__(self):
        super().__init__()
        self.first = torch.nn.Conv2d(3, 4, 3, padding=1)
        self.second = torch.nn.Conv2d(4, 6, 3, padding=1)
        self.third = torch.nn.Conv2d(6, 5, 3, padding=1)
        self.linear = torch.nn.Linear(5, 2)

    def forward(self, x):
        x = torch.relu(self.first(x))
        x = torch.relu(self.third(torch.relu(self.second(x))))
        return self.linear(x.mean((2, 3)))


#: MACs and weights of its layers, by hand.
CHAIN_MACS = (64 * 108, 64 * 216, 64 * 270, 10)
CHAIN_WEIGHTS = (108, 216, 270, 10)


def walk(task, ratio):
    """Observations of an episode that always proposes the same ratio."""
    env = CompressionEnv(task, lambda counts: "an outcome", score)
    observations = [env.reset()[0]]
    for _ in range(len(task)):
        observations.append(env.step(ratio)[0])
    return np.array(observations)


def test_rest_is_the_macs_of_later_layers_without_the_present_one():
    """A group of channels is decided on where it is read: first by `second`, last by `linear`."""
    task = Problem.of(CostModel(trace(Chain(), torch.zeros(1, 3, 8, 8))), Budget(()))
    assert [decision.layer.name for decision in task.decisions] == ["second", "third", "linear"]
    rest = walk(task, 1.0)[:, FEATURES.index("rest")]
    total = sum(CHAIN_MACS)
    expected = [(CHAIN_MACS[2] + 10) / total, 10 / total, 0.0, 0.0]
    assert rest == pytest.approx(expected, abs=1e-6)


def test_reduced_is_what_the_decisions_so_far_save():
    """Half of 4 channels halves the first two layers; half of 6 the second again and the third."""
    task = Problem.of(CostModel(trace(Chain(), torch.zeros(1, 3, 8, 8))), Budget(()))
    reduced = walk(task, 0.5)[:, FEATURES.index("reduced")]
    first, second, third, _ = CHAIN_MACS
    total = sum(CHAIN_MACS)
    after_one = (first / 2 + second / 2) / total
    after_two = (first / 2 + 3 * second / 4 + third / 2) / total
    assert reduced[:3] == pytest.approx([0, after_one, after_two], abs=1e-6)


def test_costs_are_counted_in_what_tells_choices_apart():
    model = CostModel(trace(Chain(), torch.zeros(1, 3, 8, 8)))
    task = Problem.of(model, Budget(()), SearchSpace(granularity="weights"))
    rest = walk(task, 1.0)[:, FEATURES.index("rest")]
    params = sum(CHAIN_WEIGHTS) + 4 + 6 + 5 + 2
    later = [np.sum(CHAIN_WEIGHTS[place + 1 :]) / params for place in range(4)]
    assert rest == pytest.approx([*later, 0.0], abs=1e-6)


def test_what_a_layer_is_is_scaled_to_its_range():
    """Read by `second`, `third`, `linear`: 6, 5, 2 outputs and 4, 6, 5 inputs.

    The linear layer has no area.
    """
    task = Problem.of(CostModel(trace(Chain(), torch.zeros(1, 3, 8, 8))), Budget(()))
    seen = walk(task, 1.0)[:3]
    expected = {
        "index": [0, 0.5, 1],
        "out_channels": [1, 0.75, 0],
        "in_channels": [0, 1, 0.5],
        "height": [1, 1, 0],
        "stride": [0, 0, 0],
        "kernel": [1, 1, 0],
    }
    for name, values in expected.items():
        assert seen[:, FEATURES.index(name)] == pytest.approx(values), name
    macs = np.array(CHAIN_MACS[1:], dtype=float)
    scaled = (macs - 10) / (macs[1] - 10)
    assert seen[:, FEATURES.index("macs")] == pytest.approx(scaled, abs=1e-6)
