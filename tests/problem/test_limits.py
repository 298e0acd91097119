from types import SimpleNamespace

import numpy as np
import pytest

from sartor.budget import Bound, Budget
from sartor.errors import BudgetError
from sartor.problem import BitsDecision, ChannelDecision
from sartor.problem._limits import BudgetLimits, affordable, used_up

LAYER = SimpleNamespace(name="layer")
#: Two decisions, of 2 to 10 channels each.
DECISIONS = [ChannelDecision(name, 10, np.arange(2, 11), LAYER) for name in "ab"]
BITS = BitsDecision("bits", 2, np.array([1, 2]), LAYER, ((4, 32), (8, 8)))


class Costs:
    """MACs are the sum of all counts (20 for the original), parameters the first count, latency
    the second in seconds; what is asked for is recorded."""

    def __init__(self, slowest=None):
        self.asked = []
        self.slowest = slowest

    def __call__(self, quantity, counts):
        self.asked.append((quantity, len(counts)))
        counts = np.asarray(counts, dtype=float)
        if quantity == "macs":
            return counts.sum(1)
        if quantity == "params":
            return counts[:, 0]
        if self.slowest is not None:
            return np.where(counts[:, 1] == self.slowest, 10.0, 1.0)
        return counts[:, 1]

    def original(self, quantity):
        return {"macs": 20.0, "params": 10.0, "latency": 10.0}[quantity]


def limits(*bounds, decisions=DECISIONS, costs=None):
    costs = costs or Costs()
    budget = Budget(tuple(bounds))
    return BudgetLimits(budget, decisions, costs, costs.original)


MACS = Bound("macs", 0.5, relative=True)
PARAMS = Bound("params", 4.0, relative=False)
LATENCY = Bound("latency", 0.5, relative=True)


def test_usage_is_the_largest_share_of_any_bound():
    subject = limits(MACS, PARAMS)
    assert subject.usage(np.array([[5, 5], [2, 10], [4, 2]])).tolist() == [1.25, 1.2, 1.0]


def test_without_a_budget_nothing_is_used_up():
    subject = limits()
    assert not subject
    assert subject.usage(np.array([[10, 10], [2, 2]])).tolist() == [0.0, 0.0]
    assert subject.excess(np.array([[10, 10], [2, 2]])).tolist() == [0.0, 0.0]
    assert subject.cheapest().tolist() == [2, 2]
    subject.require_reachable(doubt=0.0)
    assert limits(MACS)


def test_what_fits_may_exceed_a_bound_by_the_rounding_of_sums():
    usage = np.array([0.5, 1.0, 1 + 5e-13, 1 + 1e-12, 1 + 2e-12, 1.5])
    assert affordable(usage).tolist() == [True, True, True, True, False, False]
    left = np.array([1.5, 1.0, 1 - 5e-13, 1 - 1e-12, 1 - 2e-12, 0.5])
    assert used_up(left).tolist() == [True, True, True, True, False, False]


def test_a_counted_bound_that_fails_is_worse_than_any_latency():
    subject = limits(MACS, LATENCY)
    small_and_slow, large_and_fast = [2, 8], [9, 2]
    assert subject.excess(np.array([small_and_slow, large_and_fast])).tolist() == [1.6, 1e9 + 1.1]


def test_smallest_choices_are_cheapest_where_everything_is_counted():
    costs = Costs()
    assert limits(MACS, costs=costs).cheapest().tolist() == [2, 2]
    assert costs.asked == []


@pytest.mark.parametrize("bound", [LATENCY, MACS])
def test_latency_and_pairs_of_bits_are_descended_on(bound):
    costs = Costs()
    decisions = DECISIONS if bound is LATENCY else [*DECISIONS, BITS]
    limits(bound, decisions=decisions, costs=costs).cheapest()
    assert costs.asked


def test_the_fastest_need_not_be_the_narrowest():
    assert limits(LATENCY, costs=Costs(slowest=2)).cheapest()[1] > 2


def test_what_is_cheapest_is_found_again_when_predictions_have_changed():
    costs = Costs(slowest=2)
    subject = limits(LATENCY, costs=costs)
    first = subject.cheapest()
    assert subject.cheapest() is first
    costs.slowest = first[1]
    assert subject.cheapest() is first
    subject.forget()
    assert subject.cheapest()[1] != first[1]


def test_counted_bounds_do_not_change():
    subject = limits(MACS)
    first = subject.cheapest()
    subject.forget()
    assert subject.cheapest() is first


def test_only_bounds_on_latency_are_tightened():
    subject = limits(MACS, LATENCY)
    subject.tighten(2.0)
    assert subject.usage(np.array([[2, 5], [9, 1]])).tolist() == [2.0, 1.0]
    subject.tighten(1.25)
    assert subject.usage(np.array([[1, 2]])).tolist() == [1.0]


def test_tightening_finds_the_cheapest_again():
    costs = Costs(slowest=2)
    subject = limits(LATENCY, costs=costs)
    costs.slowest = subject.cheapest()[1]
    subject.tighten(1.01)
    assert subject.cheapest()[1] != costs.slowest


@pytest.mark.parametrize(("value", "fits"), [(4.0, True), (4 - 1e-13, True), (3.99, False)])
def test_a_bound_on_what_is_counted_is_reached_exactly(value, fits):
    """The least that can be reached are 2 + 2 MACs of 20."""
    subject = limits(Bound("macs", value, relative=False))
    if fits:
        subject.require_reachable(doubt=0.5)
    else:
        with pytest.raises(
            BudgetError,
            match=r"budget macs<=0.00399K cannot be met: the smallest reachable value is "
            r"macs<=4 \(20.0% of the original's\) with the allowed choices",
        ) as caught:
            subject.require_reachable(doubt=0.5)
        assert caught.value.smallest == {"macs": 4.0}


@pytest.mark.parametrize(
    ("doubt", "fits"), [(0.0, False), (0.24, False), (0.25, True), (0.3, True)]
)
def test_a_bound_on_latency_may_be_missed_by_as_much_as_predictions_err(doubt, fits):
    """The least that can be reached are 2 s; 1.6 s are a quarter too few."""
    subject = limits(Bound("latency", 1.6, relative=False))
    if fits:
        subject.require_reachable(doubt)
    else:
        with pytest.raises(BudgetError, match=r"is latency<=2e\+03ms \(predicted\) \(20.0%"):
            subject.require_reachable(doubt)


def test_bounds_that_hold_one_by_one_but_not_together_are_refused_with_what_comes_nearest():
    """Sums of up to 6 leave at least 6 s, of which 5 are allowed: 1.2 times as many."""

    def total(quantity, counts):
        counts = np.asarray(counts, dtype=float)
        return {"macs": counts.sum(1), "latency": 12 - counts.sum(1)}[quantity]

    def original(quantity):
        return 20.0

    latency = Bound("latency", 5.0, relative=False)
    budget = Budget((Bound("macs", 6.0, relative=False), latency))
    subject = BudgetLimits(budget, DECISIONS, total, original)
    with pytest.raises(
        BudgetError,
        match=r"budget macs<=0.006K,latency<=5s cannot be met: its bounds can, but not all at "
        r"once; nearest is macs<=6, latency<=6e\+03ms \(predicted\)$",
    ) as caught:
        subject.require_reachable(doubt=0.19)
    assert caught.value.smallest == {"macs": 6.0, "latency": 6.0}
    subject.require_reachable(doubt=0.21)
