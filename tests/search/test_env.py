import numpy as np
import pytest
import torch
from gymnasium.utils.env_checker import check_env
from hypothesis import given, settings
from hypothesis import strategies as st

import topologies
from sartor import models
from sartor.budget import Budget
from sartor.cost import CostModel
from sartor.errors import BudgetError, TraceError, UsageError
from sartor.graph import trace
from sartor.problem import Problem, SearchSpace
from sartor.search import FEATURES, CompressionEnv

RESNET20 = CostModel(trace(models.build("resnet20"), torch.zeros(1, 3, 32, 32)))


def problem(budget="macs<=50%", **options):
    return Problem.of(RESNET20, Budget.parse(budget), SearchSpace(**options))


@pytest.mark.filterwarnings("ignore:.*:UserWarning")
def test_gymnasium_accepts_the_environment():
    check_env(CompressionEnv(problem(), lambda counts: -1.0), skip_render_check=True)


@settings(max_examples=40, deadline=None)
@given(st.lists(st.floats(0, 1), min_size=12, max_size=12), st.sampled_from([0.3, 0.5, 0.8]))
def test_any_actions_meet_the_budget_and_waste_less_than_a_step(actions, fraction):
    task = problem(f"macs<={100 * fraction}%")
    counts = task.execute(np.array(actions))
    usage = float(task.usage(counts[None])[0])
    assert usage <= 1 + 1e-9
    last = counts.copy()
    last[-1] += 1
    assert (
        last[-1] > task.sizes[-1] or task.usage(last[None])[0] > 1 or counts[-1] == task.sizes[-1]
    )
    assert usage > 0.97


def test_several_budgets_hold_together():
    task = problem("macs<=60%,params<=100K,size<=390KB")
    rng = np.random.default_rng(0)
    for _ in range(20):
        cost = RESNET20.cost(task.policy(task.execute(rng.uniform(0.2, 1, 12))))
        assert cost.macs <= 0.6 * RESNET20.original.macs
        assert cost.params <= 100_000
        assert cost.size <= 390_000


def test_an_impossible_budget_is_refused_with_the_smallest_reachable_value():
    with pytest.raises(
        BudgetError,
        match=r"budget macs<=1% cannot be met: the smallest reachable value is macs<=\d+ \(\d",
    ):
        problem("macs<=1%")


def test_fine_grained_decisions_are_percents_of_every_layer():
    task = problem("params<=40%", granularity="weights")
    assert len(task) == 20
    assert task.lowest.tolist() == [20] * 19 + [2]
    cost = RESNET20.cost(task.policy(task.execute(np.full(20, 0.5))))
    assert 0.39 * RESNET20.original.params < cost.params <= 0.4 * RESNET20.original.params


def test_channel_counts_follow_the_multiple():
    task = problem(multiple=8, min_keep=0.25)
    counts = task.execute(np.random.default_rng(1).uniform(0.2, 1, 12))
    assert ((counts % 8 == 0) | (counts == task.sizes)).all()


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


def test_a_network_with_nothing_to_prune_is_refused():
    model = CostModel(trace(torch.nn.Sequential(torch.nn.Linear(4, 2)), torch.zeros(1, 4)))
    with pytest.raises(TraceError, match="nothing to prune or quantize: network output"):
        Problem.of(model, Budget.parse("macs<=50%"))


@pytest.mark.parametrize(
    ("options", "message"), [({"min_keep": 0}, "min_keep is 0"), ({"multiple": 0}, "multiple is 0")]
)
def test_impossible_options_are_refused(options, message):
    with pytest.raises(UsageError, match=message):
        problem(**options)


def test_topologies_all_have_something_to_decide():
    for kind in topologies.ALL:
        if kind is topologies.PixelShuffle:  # its channels become pixels: kept whole
            continue
        assert len(
            Problem.of(CostModel(trace(kind(), topologies.example_inputs(kind))), Budget(()))
        )
