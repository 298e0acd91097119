from types import SimpleNamespace

import numpy as np
import pytest

from sartor.policy import Policy
from sartor.problem import (
    BitsDecision,
    ChannelDecision,
    CostDraft,
    PolicyDraft,
    SearchSpace,
    WeightDecision,
)
from sartor.sensitivity import Sensitivity

LAYER = SimpleNamespace(name="layer")
PAIRS = ((2, 8), (8, 4), (32, 32))
CHANNELS = ChannelDecision("group", 10, np.array([2, 4, 10]), LAYER)
WEIGHTS = WeightDecision("layer", 100, np.array([20, 50, 100]), LAYER)
BITS = BitsDecision("layer bits", 3, np.array([1, 2, 3]), LAYER, PAIRS)


@pytest.mark.parametrize(
    ("count", "place"),
    [(-5, 0), (2.9, 0), (3.0, 0), (3.1, 1), (7.0, 1), (7.1, 2), (99, 2)],
)
def test_the_nearest_choice_is_the_smaller_of_two_equally_near(count, place):
    assert CHANNELS.nearest(np.array([count])).tolist() == [place]


def test_what_a_decision_is_about_is_a_fact_of_its_class():
    facts = {d.name: (d.quantizes, d.cost_quantity) for d in (CHANNELS, BITS)}
    assert facts == {"group": (False, "macs"), "layer bits": (True, "bops")}
    assert (WEIGHTS.quantizes, WEIGHTS.cost_quantity) == (False, "params")


def test_errors_are_those_of_the_choices():
    compressor = SimpleNamespace(
        ranking=SimpleNamespace(errors={"group": np.arange(11.0) ** 2}),
        weight_errors=lambda layer, shares: shares if layer == "layer" else None,
        precision_errors=lambda layer, precisions: (layer, precisions),
    )
    assert CHANNELS.errors(compressor).tolist() == [4, 16, 100]
    assert WEIGHTS.errors(compressor).tolist() == [0.2, 0.5, 1.0]
    assert BITS.errors(compressor) == ("layer", PAIRS)


def test_omega_is_that_of_the_choices():
    table = {
        "channels": {"group": {0.2: 3.0, 0.4: 1.0, 1.0: 0.0}},
        "weight_bits": {"layer": {2: 5.0, 8: 1.0}},
        "activation_bits": {"layer": {4: 7.0, 8: 0.5}},
    }
    sensitivity = Sensitivity(images=1, table=table)
    assert CHANNELS.omega(sensitivity).tolist() == [3.0, 1.0, 0.0]
    assert WEIGHTS.omega(sensitivity).tolist() == [0.0, 0.0, 0.0]
    assert BITS.omega(sensitivity).tolist() == [5.5, 8.0, 0.0]


def test_a_decision_writes_its_count_into_a_policy_and_nothing_else():
    base = Policy({"other": 0.5}, {"other": 0.5}, {"other": 4}, {"other": 4})
    draft = PolicyDraft.of(base)
    CHANNELS.write(draft, 4)
    WEIGHTS.write(draft, 50)
    BITS.write(draft, 2)
    assert draft.policy() == Policy(
        {"other": 0.5, "group": 0.4},
        {"other": 0.5, "layer": 0.5},
        {"other": 4, "layer": 8},
        {"other": 4, "layer": 4},
    )
    assert base.channels == {"other": 0.5}


def test_a_decision_writes_its_counts_into_its_column():
    draft = CostDraft(
        {"other": 0, "group": 1},
        {"other": 0, "layer": 1},
        counts=np.full((2, 2), 10),
        densities=np.ones((2, 2)),
        weight_bits=np.full((2, 2), 32),
        activation_bits=np.full((2, 2), 32),
    )
    CHANNELS.write_costs(draft, np.array([4, 2]))
    WEIGHTS.write_costs(draft, np.array([50, 20]))
    BITS.write_costs(draft, np.array([1, 2]))
    assert draft.counts.tolist() == [[10, 4], [10, 2]]
    settings = draft.settings()
    assert settings.densities.tolist() == [[1, 0.5], [1, 0.2]]
    assert settings.weight_bits.tolist() == [[32, 2], [32, 8]]
    assert settings.activation_bits.tolist() == [[32, 8], [32, 4]]


def test_a_decision_can_be_narrowed(chain):
    """As `dataclasses.replace` does it for those of whom only one choice is left."""
    import dataclasses

    for decision in SearchSpace(("prune", "quantize"), precisions={"0": PAIRS}).decisions(
        chain, Policy()
    ):
        narrowed = dataclasses.replace(decision, choices=decision.choices[-1:])
        assert type(narrowed) is type(decision)
        assert narrowed.nearest(np.array([0.0])).tolist() == [0]
