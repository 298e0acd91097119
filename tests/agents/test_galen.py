import numpy as np
import pytest
import torch

import topologies
from sartor.agents import SearchContext, Trajectory
from sartor.agents._galen import GalenAgent, _degree, _steps, discrete, precision
from sartor.budget import Budget
from sartor.compression import CompressOptions, Compressor
from sartor.graph import trace
from sartor.problem import Problem, SearchSpace
from sartor.search import FEATURES
from sartor.testing import AgentConformance

BOTH = ((8, 8), (32, 32))
MIX = tuple((w, a) for w in range(1, 7) for a in range(1, 7)) + BOTH


def setting_of(precisions, methods=("prune", "quantize")):
    network = trace(
        topologies.randomized(topologies.Residual()), topologies.example_inputs(topologies.Residual)
    )
    compressor = Compressor(network, torch.randn(32, 3, 16, 16), CompressOptions())
    table = {layer.name: precisions for layer in network.layers}
    problem = Problem.of(
        compressor.cost_model,
        Budget.parse("bops<=30%"),
        SearchSpace(methods=methods, precisions=table),
    )
    return SearchContext(
        problem,
        len(FEATURES),
        40,
        [decision.errors(compressor) for decision in problem.decisions],
        0,
    )


@pytest.mark.parametrize(
    ("precisions", "methods"),
    [
        (BOTH, ("prune", "quantize")),
        (MIX, ("prune", "quantize")),
        (MIX, ("quantize",)),
        (BOTH, ("prune",)),
    ],
)
class TestGalen(AgentConformance):
    @pytest.fixture
    def make(self, precisions, methods):
        setting = setting_of(precisions, methods)
        return lambda: GalenAgent(setting)


@pytest.mark.parametrize(
    ("degree", "expected"), [(0.0, 16), (0.01, 16), (0.5, 9), (0.97, 1), (1.0, 1)]
)
def test_degrees_of_compression_become_counts_by_the_paper_s_formula(degree, expected):
    assert discrete(degree, 16) == expected


@pytest.mark.parametrize(
    ("weights", "activations", "available", "expected"),
    [
        (0.1, 0.15, MIX, (32, 32)),
        (0.1, 0.3, MIX, (8, 8)),
        (0.6, 0.1, MIX, (5, 6)),  # a' = 0.2 and 0: ⌊0.8 · 6⌋ + 1 = 5 and 6
        (1.0, 0.75, MIX, (1, 4)),
        (0.9, 0.9, BOTH, (8, 8)),  # the nearest that there is
    ],
)
def test_thresholds_choose_between_fp32_int8_and_mixed(weights, activations, available, expected):
    assert precision(weights, activations, available) == expected


@pytest.mark.parametrize("pair", MIX)
def test_every_precision_has_actions_that_lead_to_it(pair):
    assert precision(_degree(pair[0]), _degree(pair[1]), MIX) == pair


def test_it_learns_to_keep_little_where_that_is_rewarded():
    setting = setting_of(BOTH, ("prune",))
    problem = Problem.of(setting.problem.cost_model, Budget(()))
    agent = GalenAgent(SearchContext(problem, len(FEATURES), 150, setting.errors, 0))
    kept = []
    for _ in range(150):
        agent.begin()
        ratios = np.array(
            [agent.act(np.zeros(11, np.float32), step) for step in range(len(problem))]
        )
        counts = problem.execute(ratios)
        executed = counts / problem.sizes
        agent.learn(
            Trajectory(
                np.zeros((len(problem) + 1, 11), np.float32), executed, -float(executed.mean())
            ),
            own=True,
        )
        kept.append(executed.mean())
    assert np.mean(kept[-10:]) < np.mean(kept[:10]) - 0.15


def test_every_group_that_a_layer_reads_is_decided():
    network = trace(
        topologies.randomized(topologies.Concatenation()),
        topologies.example_inputs(topologies.Concatenation),
    )
    problem = Problem.of(
        Compressor(network, None, CompressOptions()).cost_model, Budget.parse("macs<=50%")
    )
    kept = [step.keep for step in _steps(problem.decisions)]
    assert sorted(kept) == list(range(len(problem)))
    assert len({decision.layer.name for decision in problem.decisions}) < len(problem)
