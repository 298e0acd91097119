import math

import pytest
import torch
from torch import nn

from chains import of_pixels
from sartor.cost import CostModel
from sartor.errors import UsageError
from sartor.graph import trace
from sartor.policy import Policy
from sartor.problem import BitsDecision, ChannelDecision, SearchSpace, WeightDecision


def choices(space, size, base=None):
    """Of the only group, of ``size`` channels."""
    (decision,) = space.decisions(of_pixels(1, size, 1), base or Policy())
    assert isinstance(decision, ChannelDecision)
    assert (decision.name, decision.size, decision.layer.name) == ("0", size, "2")
    return decision.choices.tolist()


@pytest.mark.parametrize(
    ("min_keep", "size", "lowest"),
    [
        (0.2, 10, 2),
        (0.55, 20, 11),  # 0.55 × 20 is 11.000000000000002 in floats
        (0.51, 20, 11),
        (0.5, 3, 2),
        (1e-9, 10, 1),
        (1.0, 10, 10),
    ],
)
def test_no_fewer_channels_are_kept_than_the_smallest_ratio_says(min_keep, size, lowest):
    assert choices(SearchSpace(min_keep=min_keep), size) == list(range(lowest, size + 1))


def test_a_fifth_is_kept_unless_said_otherwise():
    assert choices(SearchSpace(), 10) == list(range(2, 11))


@pytest.mark.parametrize(
    ("multiple", "base", "expected"),
    [
        (4, 1.0, [4, 8, 10]),
        (5, 1.0, [5, 10]),
        (16, 1.0, [10]),
        (4, 0.5, [4, 5]),
        (1, 0.5, [2, 3, 4, 5]),
        (1, 0.1, [1]),
    ],
)
def test_channels_are_multiples_or_all_that_the_base_kept(multiple, base, expected):
    space = SearchSpace(multiple=multiple)
    assert choices(space, 10, Policy(channels={"0": base})) == expected


def mixed():
    model = nn.Sequential(
        nn.Conv2d(1, 4, 1), nn.Conv2d(4, 4, 1, groups=4), nn.Flatten(), nn.Linear(4, 2)
    )
    return CostModel(trace(model, torch.zeros(1, 1, 1, 1)))


def test_single_weights_are_kept_in_whole_percents_up_to_the_limits_of_amc():
    decisions = SearchSpace(granularity="weights").decisions(mixed(), Policy())
    assert all(isinstance(decision, WeightDecision) for decision in decisions)
    ends = {d.name: (d.choices[0], d.choices[-1], d.size) for d in decisions}
    assert ends == {"0": (20, 100, 100), "1": (20, 100, 100), "3": (2, 100, 100)}


def test_limits_of_single_weights_are_those_of_what_the_base_left():
    base = Policy(weights={"0": 0.5, "1": 0.004, "3": 0.3})
    decisions = SearchSpace(granularity="weights").decisions(mixed(), base)
    assert [d.choices.tolist() for d in decisions] == [
        list(range(10, 51)),
        [1],
        list(range(1, 31)),
    ]


def test_precisions_are_ordered_by_the_product_of_their_bits():
    available = [(32, 32), (8, 8), (8, 2), (2, 8), (4, 32)]
    space = SearchSpace(methods=("quantize",), precisions={"0": available})
    (decision,) = space.decisions(of_pixels(1, 4, 1), Policy())
    assert isinstance(decision, BitsDecision)
    assert decision.precisions == ((2, 8), (8, 2), (8, 8), (4, 32), (32, 32))
    assert (decision.name, decision.size, decision.layer.name) == ("0 bits", 5, "0")
    assert decision.choices.tolist() == [1, 2, 3, 4, 5]


def test_layers_with_one_precision_have_no_decision():
    precisions = {"0": [(32, 32)], "2": [(8, 8), (32, 32)]}
    decisions = SearchSpace(("quantize",), precisions=precisions).decisions(
        of_pixels(1, 4, 1), Policy()
    )
    assert [decision.name for decision in decisions] == ["2 bits"]


@pytest.mark.parametrize(
    ("methods", "granularity", "names"),
    [
        (("prune",), "channels", ["0", "2"]),
        (("prune",), "weights", ["0", "2", "4"]),
        (("quantize",), "channels", ["0 bits", "4 bits"]),
        (("quantize",), "weights", ["0 bits", "4 bits"]),
        (("prune", "quantize"), "channels", ["0 bits", "0", "2", "4 bits"]),
        (("quantize", "prune"), "weights", ["0", "0 bits", "2", "4", "4 bits"]),
        ((), "channels", []),
    ],
)
def test_decisions_are_in_forward_order(chain, methods, granularity, names):
    """A group is decided on where it is read: group "0" at layer "2", group "2" at layer "4"."""
    pair = [(8, 8), (32, 32)]
    space = SearchSpace(methods, granularity, precisions={"4": pair, "0": pair})
    assert [decision.name for decision in space.decisions(chain, Policy())] == names


@pytest.mark.parametrize("min_keep", [0, -0.1, 1.0001, math.nan])
def test_smallest_ratios_outside_of_0_to_1_are_refused(min_keep):
    with pytest.raises(UsageError, match=r"min_keep is .*; it must lie in \(0, 1\]"):
        SearchSpace(min_keep=min_keep)


def test_multiples_below_1_are_refused():
    with pytest.raises(UsageError, match="multiple is 0; it must be at least 1"):
        SearchSpace(multiple=0)
