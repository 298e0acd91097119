from dataclasses import replace

import numpy as np
import pytest
import torch

from sartor.agents import SearchContext
from sartor.agents._degrees import layer_steps
from sartor.agents._layer_state import LayerState
from sartor.budget import Budget
from sartor.cost import CostModel
from sartor.graph import trace
from sartor.problem import Problem, SearchSpace


class Chain(torch.nn.Module):
    """MACs of 8 × 8 positions: 64·(9·3·4) = 6912, 64·(9·4·6) = 13824; 12 of the linear layer."""

    def __init__(self):
        super().__init__()
        self.first = torch.nn.Conv2d(3, 4, 3, padding=1)
        self.second = torch.nn.Conv2d(4, 6, 3, padding=1)
        self.linear = torch.nn.Linear(6, 2)

    def forward(self, x):
        x = torch.relu(self.second(torch.relu(self.first(x))))
        return self.linear(x.mean((2, 3)))


MACS = 6912 + 13824 + 12
BOPS = MACS * 32 * 32


@pytest.fixture(scope="module")
def context():
    """Decisions: bits of `first`; channels and bits of `second`; channels and bits of `linear`."""
    network = trace(Chain(), torch.zeros(1, 3, 8, 8))
    table = {layer.name: ((8, 8), (32, 32)) for layer in network.layers}
    space = SearchSpace(methods=("prune", "quantize"), precisions=table)
    problem = Problem.of(CostModel(network), Budget(()), space)
    errors = [np.zeros(len(decision.choices)) for decision in problem.decisions]
    return SearchContext(problem, 11, 40, errors, 0)


def state_of(context):
    return LayerState(context, layer_steps(context.problem.decisions))


def test_what_a_layer_is_comes_first(context):
    """Place, depthwise, linear, kernel, stride, a decision on its width, one on its bits."""
    state = state_of(context)
    assert state.row(0, np.array([], int))[:7].tolist() == [0, 0, 0, 3, 1, 0, 1]
    assert state.row(1, np.array([2]))[:7].tolist() == [0.5, 0, 0, 3, 1, 1, 1]
    assert state.row(2, np.array([2, 4, 2]))[:7].tolist() == [1, 0, 1, 1, 1, 1, 1]


def test_the_network_is_whole_before_the_first_decision(context):
    row = state_of(context).row(0, np.array([], int))[7:]
    logs = np.log([3, 4, 6912, 6912 * 1024])
    around = [0, (13824 + 12) / MACS, 0, (13824 + 12) / MACS]
    assert row == pytest.approx([*logs, *around])


def test_what_was_decided_before_shows_in_the_layer_and_around_it(context):
    """`first` in 8 bits, then 2 of its 4 channels and 8 bits in `second`; now `linear` is asked."""
    row = state_of(context).row(2, np.array([1, 2, 1]))[7:]
    logs = np.log([6, 2, 12, 12 * 1024])
    before = 6912 / 2 + 13824 / 2
    around = [before / MACS, 0, before * 64 / BOPS, 0]
    assert row == pytest.approx([*logs, *around])


def test_later_layers_lose_the_inputs_that_were_given_up(context):
    """The channels that `second` reads are decided in its own step, so `first` is asked before."""
    row = state_of(context).row(1, np.array([1]))[7:]
    logs = np.log([4, 6, 13824, 13824 * 1024])
    around = [6912 / MACS, 12 / MACS, 6912 * 64 / BOPS, 12 * 1024 / BOPS]
    assert row == pytest.approx([*logs, *around])


def test_every_row_has_the_same_features(context):
    state = state_of(context)
    assert state.features == 7 + 8
    for measured, more in (
        ({"sensitivity": [np.ones(len(d.choices)) for d in context.problem.decisions]}, 20),
        ({"latency": [(0.1, 0.2)] * len(context.problem)}, 2),
    ):
        assert state_of(replace(context, **measured)).features == 15 + more


def test_sensitivity_is_shown_at_ten_points_from_the_coarsest_on(context):
    """Of 21 choices, every second one from the first; the last costs nothing and is left out."""
    network = trace(torch.nn.Sequential(*wide()), torch.zeros(1, 3, 8, 8))
    problem = Problem.of(CostModel(network), Budget(()), SearchSpace(min_keep=0.04))
    assert [len(decision.choices) for decision in problem.decisions] == [21]
    omega = [10.0 ** -np.arange(21)]
    measured = SearchContext(problem, 11, 40, [np.zeros(21)], 0, sensitivity=omega)
    row = state_of(measured).row(0, np.array([], int))
    points = [-12.0 if place > 12 else -float(place) for place in range(0, 20, 2)]
    assert row[7:17] == pytest.approx(points), "numbers below 1e-12 are shown as that"
    assert row[17:27].tolist() == [0.0] * 10, "there is no decision on bits"


def wide():
    return torch.nn.Conv2d(3, 21, 3), torch.nn.ReLU(), torch.nn.Conv2d(21, 2, 3)


def test_latency_is_shown_by_the_logarithms_of_its_shares(context):
    shares = [(0.1, 0.01)] * 3 + [(1.0, 0.0)] * 2
    row = state_of(replace(context, latency=shares)).row(2, np.array([2, 4, 2]))
    assert row[7:9] == pytest.approx([0.0, -6.0])


def test_one_step_alone_is_at_the_beginning():
    network = trace(torch.nn.Sequential(*wide()), torch.zeros(1, 3, 8, 8))
    problem = Problem.of(CostModel(network), Budget(()))
    context = SearchContext(problem, 11, 40, [np.zeros(21)], 0)
    assert state_of(context).row(0, np.array([], int))[0] == 0.0


def test_two_steps_are_at_the_beginning_and_at_the_end(context):
    problem = Problem.of(context.problem.cost_model, Budget(()))
    assert len(problem) == 2
    state = state_of(replace(context, problem=problem))
    places = [state.row(index, problem.highest[:index])[0] for index in (0, 1)]
    assert places == [0.0, 1.0]


def test_the_sensitivity_of_bits_follows_that_of_the_width(context):
    """Of two precisions, the coarser is shown at all ten points."""
    omega = [np.full(len(d.choices), 10.0**-place) for place, d in enumerate(decisions(context))]
    state = state_of(replace(context, sensitivity=omega))
    row = state.row(1, np.array([2]))
    assert row[7:17] == pytest.approx(-1.0), "the second decision is on channels"
    assert row[17:27] == pytest.approx(-2.0), "the third is on the bits of the same layer"
    first = state.row(0, np.array([], int))
    assert first[7:17].tolist() == [0.0] * 10, "there is no decision on channels"
    assert first[17:27] == pytest.approx(0.0)


def decisions(context):
    return context.problem.decisions


def test_depthwise_layers_are_told_by_their_kind_window_and_stride():
    """The second layer, which decides on the channels of the first."""
    layers = (
        torch.nn.Conv2d(3, 8, 1),
        torch.nn.Conv2d(8, 8, 5, stride=2, padding=2, groups=8),
        torch.nn.Conv2d(8, 2, 1),
    )
    problem = Problem.of(
        CostModel(trace(torch.nn.Sequential(*layers), torch.zeros(1, 3, 8, 8))), Budget(())
    )
    context = SearchContext(problem, 11, 40, [np.zeros(8)], 0)
    (decision,) = problem.decisions
    assert decision.layer.name == "1"
    row = state_of(context).row(0, np.array([], int))
    assert row[:7].tolist() == [0, 1, 0, 5, 2, 1, 0]
