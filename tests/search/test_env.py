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
    check_env(CompressionEnv(problem(), lambda counts: -1.0), skip_render_check=True)


def test_observations_hold_the_eleven_features_in_their_range():
    task, seen = problem(), []
    env = CompressionEnv(task, lambda counts: seen.append(counts.copy()) or -0.25)
    observation, _ = env.reset(seed=0)
    assert observation.shape == (len(FEATURES),) == (11,)
    assert observation[FEATURES.index("previous_action")] == 1
    assert observation[FEATURES.index("rest")] == pytest.approx(1)
    reduced = [observation[FEATURES.index("reduced")]]
    for step in range(len(task)):
        observation, reward, done, _, info = env.step(np.array([0.6], np.float32))
        assert ((observation >= 0) & (observation <= 1)).all()
        assert observation[FEATURES.index("previous_action")] == pytest.approx(info["executed"])
        assert (reward, done) == ((-0.25, True) if step == len(task) - 1 else (0.0, False))
        reduced.append(observation[FEATURES.index("reduced")])
    assert (np.diff(reduced) >= 0).all()
    assert reduced[-1] == pytest.approx(0.5, abs=0.01)
    assert len(seen) == 1
