import numpy as np
import pytest

from sartor.budget import QUANTITIES, Budget
from sartor.policy import Policy
from sartor.problem import Problem, SearchSpace

PAIRS = ((2, 8), (8, 8), (32, 32))
QUANTIZED = {"precisions": dict.fromkeys(("0", "2", "4"), PAIRS)}


def problem(chain, methods, granularity="channels", base=None):
    space = SearchSpace(methods, granularity, min_keep=0.01, **QUANTIZED)
    return Problem.of(chain, Budget(()), space, base=base)


@pytest.mark.parametrize("granularity", ["channels", "weights"])
@pytest.mark.parametrize("methods", [("prune",), ("quantize",), ("prune", "quantize")])
@pytest.mark.parametrize(
    "base",
    [
        None,
        Policy({"0": 0.75}, {"2": 0.5}),
        Policy(weight_bits={"0": 8}, activation_bits={"0": 8}),
    ],
)
def test_many_policies_cost_what_each_of_them_costs(chain, methods, granularity, base):
    subject = problem(chain, methods, granularity, base)
    rng = np.random.default_rng(0)
    counts = rng.integers(subject.lowest, subject.highest + 1, size=(20, len(subject)))
    costs = [chain.cost(subject.policy(row)) for row in counts]
    for quantity in QUANTITIES:
        expected = [getattr(cost, quantity) for cost in costs]
        assert np.rint(subject.total(quantity, counts)).tolist() == expected


def test_a_policy_has_what_was_decided_and_what_the_base_has(chain):
    base = Policy({"0": 0.75, "2": 0.5}, {"4": 0.3}, {"4": 4}, {"4": 8})
    subject = problem(chain, ("prune",), base=base)
    assert subject.policy(np.array([2, 1])) == Policy(
        {"0": 0.5, "2": 0.25}, {"4": 0.3}, {"4": 4}, {"4": 8}
    )


def test_nothing_is_said_of_layers_where_nothing_is_done_to_them(chain):
    """So that the cost model need not multiply by ones."""
    groups, settings = problem(chain, ("prune",)).split(np.array([2, 1]))
    assert groups.tolist() == [[2, 1]]
    assert settings.densities is None
    assert settings.weight_bits is None
    assert settings.activation_bits is None


@pytest.mark.parametrize(
    ("base", "densities", "bits"),
    [
        (Policy(weights={"2": 0.5}), [[1, 0.5, 1]], None),
        (Policy(weight_bits={"2": 4}), None, [[32, 4, 32]]),
    ],
)
def test_what_the_base_did_to_layers_stays(chain, base, densities, bits):
    _, settings = problem(chain, ("prune",), base=base).split(np.array([2, 1]))
    assert (None if settings.densities is None else settings.densities.tolist()) == densities
    assert (None if settings.weight_bits is None else settings.weight_bits.tolist()) == bits


def test_bits_and_weights_are_of_their_layers(chain):
    subject = problem(chain, ("prune", "quantize"), "weights")
    names = [decision.name for decision in subject.decisions]
    assert names == ["0", "0 bits", "2", "2 bits", "4", "4 bits"]
    groups, settings = subject.split(np.array([25, 1, 50, 2, 75, 3]))
    assert groups.tolist() == [[4, 4]]
    assert settings.densities.tolist() == [[0.25, 0.5, 0.75]]
    assert settings.weight_bits.tolist() == [[2, 8, 32]]
    assert settings.activation_bits.tolist() == [[8, 8, 32]]
