import numpy as np
import pytest

import topologies
from sartor.agents._degrees import (
    INT8_THRESHOLD,
    MIX_THRESHOLD,
    WIDEST_MIX,
    Degrees,
    LayerStep,
    degree_of_bits,
    degree_of_count,
    discrete,
    layer_steps,
    precision,
)
from sartor.budget import Budget
from sartor.cost import CostModel
from sartor.graph import trace
from sartor.problem import Problem, SearchSpace

BOTH = ((8, 8), (32, 32))
MIX = tuple((w, a) for w in range(1, 7) for a in range(1, 7)) + BOTH


def problem_of(kind, methods=("prune", "quantize"), precisions=BOTH):
    network = trace(topologies.randomized(kind()), topologies.example_inputs(kind))
    table = {layer.name: precisions for layer in network.layers}
    space = SearchSpace(methods=methods, precisions=table)
    return Problem.of(CostModel(network), Budget(()), space)


def test_thresholds_are_the_paper_s():
    assert (INT8_THRESHOLD, MIX_THRESHOLD, WIDEST_MIX) == (0.2, 0.5, 6)


@pytest.mark.parametrize(
    ("degree", "expected"), [(0.0, 16), (0.01, 16), (0.5, 9), (0.51, 8), (0.97, 1), (1.0, 1)]
)
def test_degrees_become_counts_by_the_paper_s_formula(degree, expected):
    assert discrete(degree, 16) == expected


@pytest.mark.parametrize("count", range(1, 17))
def test_the_middle_of_a_count_s_degrees_is_as_far_from_both_its_ends(count):
    """A count of ν holds the degrees from 1 − count/ν (not itself) to 1 − (count − 1)/ν."""
    lowest = 1 - count / 16
    highest = 1 - (count - 1) / 16
    assert degree_of_count(count, 16) == pytest.approx((lowest + highest) / 2)
    assert discrete(degree_of_count(count, 16), 16) == count


@pytest.mark.parametrize(
    ("weights", "activations", "available", "expected"),
    [
        (0.1, 0.15, MIX, (32, 32)),
        (0.2, 0.2, MIX, (32, 32)),  # a threshold must be exceeded
        (0.1, 0.21, MIX, (8, 8)),
        (0.21, 0.1, MIX, (8, 8)),
        (0.5, 0.5, MIX, (8, 8)),
        (0.6, 0.1, MIX, (5, 6)),  # a' = 0.2 and 0: ⌊0.8 · 6⌋ + 1 = 5 and 6
        (0.1, 0.6, MIX, (6, 5)),
        (1.0, 0.75, MIX, (1, 4)),  # a' = 0.5: ⌊0.5 · 6⌋ + 1 = 4
        (0.9, 0.9, BOTH, (8, 8)),  # the nearest that there is
        (0.1, 0.1, ((8, 8),), (8, 8)),
        (0.6, 0.6, ((4, 8), (8, 4)), (4, 8)),  # equally near: the one with fewer bits of weights
    ],
)
def test_thresholds_choose_between_fp32_int8_and_mixed(weights, activations, available, expected):
    assert precision(weights, activations, available) == expected


@pytest.mark.parametrize("pair", MIX)
def test_every_precision_has_degrees_that_lead_to_it(pair):
    assert precision(degree_of_bits(pair[0]), degree_of_bits(pair[1]), MIX) == pair


@pytest.mark.parametrize(
    ("bits", "degree"), [(32, 0.1), (8, 0.35), (7, 0.35), (6, 0.5 + 0.5 / 12), (1, 1 - 0.5 / 12)]
)
def test_bits_are_stood_for_by_the_middle_of_their_degrees(bits, degree):
    assert degree_of_bits(bits) == pytest.approx(degree)


def test_a_layer_takes_one_step_for_its_channels_and_bits():
    problem = problem_of(topologies.Residual)
    steps = layer_steps(problem.decisions)
    columns = [column for step in steps for column in step.columns]
    assert columns == list(range(len(problem)))
    for step in steps:
        names = {problem.decisions[column].layer.name for column in step.columns}
        assert len(names) == 1
        assert step.width is None or not problem.decisions[step.width].quantizes
        assert step.bits is None or problem.decisions[step.bits].quantizes
    assert len(steps) == len({decision.layer.name for decision in problem.decisions})


def test_a_layer_that_reads_several_groups_takes_a_step_for_each():
    problem = problem_of(topologies.Concatenation, ("prune",))
    steps = layer_steps(problem.decisions)
    assert [step.columns for step in steps] == [[column] for column in range(len(problem))]
    assert len({decision.layer.name for decision in problem.decisions}) < len(problem)


@pytest.mark.parametrize(
    ("methods", "count"), [(("prune",), 1), (("quantize",), 2), (("prune", "quantize"), 3)]
)
def test_there_is_a_degree_for_each_parameter(methods, count):
    problem = problem_of(topologies.Residual, methods)
    assert Degrees(problem.decisions, layer_steps(problem.decisions)).count == count


def test_degrees_are_mapped_to_ratios_in_the_order_of_the_columns():
    problem = problem_of(topologies.Residual, precisions=MIX)
    steps = layer_steps(problem.decisions)
    degrees = Degrees(problem.decisions, steps)
    step = next(step for step in steps if step.width is not None and step.bits is not None)
    size = problem.decisions[step.width].size
    precisions = problem.decisions[step.bits].precisions
    width, bits = degrees.ratios(step, np.array([0.5, 1.0, 0.75]))
    assert width == (size // 2 + 1) / size
    assert bits == (precisions.index((1, 4)) + 1) / len(precisions)


def test_degrees_of_a_policy_lead_back_to_it():
    problem = problem_of(topologies.Residual, precisions=MIX)
    steps = layer_steps(problem.decisions)
    degrees = Degrees(problem.decisions, steps)
    rng = np.random.default_rng(0)
    for _ in range(20):
        counts = problem.execute(rng.uniform(size=len(problem)))
        ratios = [
            ratio for step in steps for ratio in degrees.ratios(step, degrees.of(step, counts))
        ]
        assert np.rint(ratios * problem.sizes).tolist() == counts.tolist()


def test_what_a_layer_lacks_has_degree_zero():
    problem = problem_of(topologies.Residual)
    steps = layer_steps(problem.decisions)
    degrees = Degrees(problem.decisions, steps)
    only_bits = next(step for step in steps if step.width is None)
    found = degrees.of(only_bits, problem.highest)
    assert found.tolist() == [0.0, 0.1, 0.1]
    assert LayerStep(width=3).columns == [3]
