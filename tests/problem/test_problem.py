import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

import topologies
from sartor import models
from sartor.budget import Bound, Budget
from sartor.cost import CostModel
from sartor.errors import BudgetError, TraceError, UsageError
from sartor.graph import trace
from sartor.policy import Policy
from sartor.problem import Problem, SearchSpace
from sartor.problem._limits import wastes_nothing

RESNET20 = CostModel(trace(models.build("resnet20"), torch.zeros(1, 3, 32, 32)))
PAIRS = ((8, 8), (32, 32))


def of_resnet20(budget="macs<=50%", **options):
    return Problem.of(RESNET20, Budget.parse(budget), SearchSpace(**options))


def of_chain(chain, budget, **options):
    """Two groups of 1 to 4 channels; MACs are a + a·b + b."""
    return Problem.of(chain, budget, SearchSpace(min_keep=0.01, **options))


def macs(limit):
    return Budget((Bound("macs", limit, relative=False),))


@pytest.mark.parametrize(
    ("limit", "ratios", "executed"),
    [
        (24, [1.0, 1.0], [4, 4]),  # everything
        (12, [1.0, 1.0], [4, 1]),  # 4 + 4 + 1 = 9: two would be 14
        (12, [0.75, 1.0], [3, 2]),  # 3 + 6 + 2 = 11: three would be 15
        (12, [0.5, 0.25], [2, 3]),  # 2 + 6 + 3 = 11: four would be 14
        (12, [0.0, 1.0], [2, 3]),  # one leaves too much: 1 + 4 + 4 = 9
        (14, [1.0, 1.0], [4, 2]),  # 4 + 8 + 2: just the budget
        (14, [0.5, 0.0], [2, 4]),  # 2 + 8 + 4: just the budget
        (3, [1.0, 1.0], [1, 1]),  # 1 + 1 + 1: nothing else is allowed
        (9, [0.0, 0.0], [1, 4]),  # 1 + 4 + 4: just the budget
        (23.5, [0.0, 0.0], [4, 3]),  # three leave too much: 3 + 12 + 4 = 19; 4 + 12 + 3 = 19
    ],
)
def test_what_is_executed_meets_the_budget_and_wastes_none_of_it(chain, limit, ratios, executed):
    assert of_chain(chain, macs(limit)).execute(ratios).tolist() == executed


def test_without_a_budget_the_nearest_choices_are_executed(chain):
    problem = of_chain(chain, Budget(()))
    assert problem.execute([0.0, 0.9]).tolist() == [1, 4]
    assert problem.execute(np.array([0.624, 0.626])).tolist() == [2, 3]


def test_a_policy_exactly_on_the_bound_fits(chain):
    problem = of_chain(chain, macs(14))
    counts = np.array([[4, 2], [2, 4], [3, 3], [1, 1]])
    assert problem.fits(counts).tolist() == [True, True, False, True]
    assert problem.usage(counts) == pytest.approx([1, 1, 15 / 14, 3 / 14])


def test_sums_of_floats_that_err_upwards_fit(chain):
    """A third of 24 times three is less than 24 as floats go."""
    limit = np.nextafter(14.0, 0.0)
    assert of_chain(chain, macs(limit)).fits(np.array([[4, 2]])).all()
    assert of_chain(chain, macs(limit)).execute([1.0, 1.0]).tolist() == [4, 2]


def test_where_nothing_fits_any_more_the_least_excess_is_executed(chain):
    problem = of_chain(chain, macs(12))
    assert problem.choose(np.array([4]), 1.0) == 1
    problem.tighten(2.0)
    assert problem.choose(np.array([4]), 1.0) == 1
    assert of_chain(chain, macs(8)).choose(np.array([4]), 1.0) == 1  # 9 is too much already


@pytest.mark.parametrize(
    ("usage", "allowed"),
    [
        ([0.5, 0.9, 1.0], [False, False, True]),
        ([0.5, 0.9, 1.2], [False, True, False]),  # 0.2 too much beside 0.1 left
        ([0.5, 0.9, 1.05], [False, False, False]),  # 0.05 too much beside 0.1 left
        ([0.5, 0.75, 1.0], [False, False, True]),
        ([0.25, 0.5, 1.5], [False, False, False]),  # 0.5 too much beside 0.5 left: no more
        ([0.25, 0.5, 1.501], [False, True, False]),
        ([1 - 1e-13, 1.5], [True, True]),
        ([0.9], [False]),
    ],
)
def test_bits_may_waste_less_than_the_next_would_be_too_much(chain, usage, allowed):
    space = SearchSpace(("prune", "quantize"), precisions={"0": PAIRS})
    bits, channels, _ = space.decisions(chain, Policy())
    used = [value >= 1 - 1e-12 for value in usage]
    expected = [a or b for a, b in zip(allowed, used, strict=True)]
    assert wastes_nothing(bits, np.array(usage)).tolist() == expected
    assert wastes_nothing(channels, np.array(usage)).tolist() == used


@pytest.mark.parametrize(
    ("methods", "granularity", "quantity"),
    [
        (("prune",), "channels", "macs"),
        (("prune",), "weights", "params"),
        (("quantize",), "channels", "bops"),
        (("prune", "quantize"), "channels", "bops"),
        (("prune", "quantize"), "weights", "bops"),
    ],
)
def test_one_quantity_tells_all_choices_apart(chain, methods, granularity, quantity):
    problem = of_chain(
        chain, Budget(()), methods=methods, granularity=granularity, precisions={"0": PAIRS}
    )
    assert problem.cost_quantity == quantity


def test_kinds_of_decisions_are_masks(chain):
    both = of_chain(chain, Budget(()), methods=("prune", "quantize"), precisions={"0": PAIRS})
    assert [decision.name for decision in both.decisions] == ["0 bits", "0", "2"]
    assert both.quantizes.tolist() == [True, False, False]
    assert [kind.tolist() for kind in both.kinds] == [[True, False, False], [False, True, True]]
    assert [kind.tolist() for kind in of_chain(chain, Budget(())).kinds] == [[True, True]]


def test_corners_are_those_of_the_decisions(chain):
    problem = of_chain(chain, Budget(()), methods=("prune", "quantize"), precisions={"0": PAIRS})
    assert problem.combine(widths=problem.highest, bits=problem.lowest).tolist() == [1, 4, 4]
    found = [row.tolist() for row in problem.corners((problem.lowest, problem.highest))]
    assert found == [[1, 1, 1], [1, 4, 4], [2, 1, 1], [2, 4, 4]]


def test_counts_of_recorded_ratios_are_whole(chain):
    problem = of_chain(chain, Budget(()))
    assert problem.counts({"2": 0.75000001, "0": 0.4999}).tolist() == [2, 3]


def test_no_more_is_kept_than_the_base_kept(chain):
    problem = Problem.of(chain, Budget(()), base=Policy({"0": 0.5}))
    assert (problem.lowest.tolist(), problem.highest.tolist()) == ([1, 1], [2, 4])
    assert problem.sizes.tolist() == [4, 4]
    assert problem.original.macs == 24


class Latency:
    """A second for each channel of the first group."""

    original_s = 4.0

    def __init__(self, error=0.0):
        self._error = error
        self.learned = []

    def seconds(self, counts, options):
        return counts[:, 0].astype(float)

    def correct(self, counts, options, seconds):
        self.learned.append((counts.tolist(), seconds))

    def error(self):
        return self._error


def of_latency(chain, budget, error=0.0):
    space = SearchSpace(min_keep=0.5)
    return Problem.of(chain, Budget.parse(budget), space, latency=Latency(error))


def test_latency_is_predicted_in_seconds(chain):
    problem = of_latency(chain, "latency<=75%")
    assert problem.total("latency", np.array([[2, 4], [4, 2]])).tolist() == [2.0, 4.0]
    assert problem.of_original("latency") == 4.0
    assert problem.of_original("macs") == 24.0
    assert problem.execute([1.0, 1.0]).tolist() == [3, 4]
    assert problem.latency_ceiling(problem.budget) == 0.75
    assert problem.latency_ceiling(Budget.parse("latency<=1s,macs<=50%")) == 0.25
    assert problem.latency_ceiling(Budget.parse("macs<=50%")) is None


def test_the_predictor_learns_seconds(chain):
    problem = of_latency(chain, "latency<=75%")
    problem.correct(np.array([2, 3]), 0.5)
    assert problem.latency.learned == [([[2, 3]], 2.0)]
    of_chain(chain, Budget(())).correct(np.array([2, 3]), 0.5)  # nothing learns, nothing fails


def test_a_missed_latency_is_aimed_below(chain):
    problem = of_latency(chain, "latency<=75%")
    problem.tighten(1.5)
    assert problem.execute([1.0, 1.0]).tolist() == [2, 4]


def test_a_latency_out_of_reach_by_less_than_predictions_err_is_tried(chain):
    with pytest.raises(BudgetError, match="smallest reachable value is latency<=2e"):
        of_latency(chain, "latency<=45%", error=0.1)
    assert of_latency(chain, "latency<=45%", error=0.12).execute([1.0, 1.0])[0] == 2


def test_a_budget_on_latency_needs_a_target(chain):
    with pytest.raises(UsageError, match="a budget on latency needs a target; give for instance"):
        of_chain(chain, Budget.parse("latency<=50%"))


@settings(max_examples=40, deadline=None)
@given(st.lists(st.floats(0, 1), min_size=12, max_size=12), st.sampled_from([0.3, 0.5, 0.8]))
def test_any_actions_meet_the_budget_and_waste_less_than_a_step(actions, fraction):
    problem = of_resnet20(f"macs<={100 * fraction}%")
    counts = problem.execute(np.array(actions))
    usage = float(problem.usage(counts[None])[0])
    assert usage <= 1 + 1e-9
    wider = counts.copy()
    wider[-1] += 1
    assert counts[-1] == problem.sizes[-1] or problem.usage(wider[None])[0] > 1
    assert usage > 0.97


def test_several_budgets_hold_together():
    problem = of_resnet20("macs<=60%,params<=100K,size<=390KB")
    rng = np.random.default_rng(0)
    for _ in range(20):
        cost = RESNET20.cost(problem.policy(problem.execute(rng.uniform(0.2, 1, 12))))
        assert cost.macs <= 0.6 * RESNET20.original.macs
        assert cost.params <= 100_000
        assert cost.size <= 390_000


def test_an_impossible_budget_is_refused_with_the_smallest_reachable_value():
    with pytest.raises(
        BudgetError,
        match=r"budget macs<=1% cannot be met: the smallest reachable value is macs<=\d+ \(\d",
    ) as caught:
        of_resnet20("macs<=1%")
    smallest = caught.value.smallest["macs"]
    assert of_resnet20(f"macs<={smallest / 1e6}M").execute(np.ones(12)).tolist() == [
        *of_resnet20().lowest
    ]


def test_fine_grained_decisions_are_percents_of_every_layer():
    problem = of_resnet20("params<=40%", granularity="weights")
    assert len(problem) == 20
    assert problem.lowest.tolist() == [20] * 19 + [2]
    cost = RESNET20.cost(problem.policy(problem.execute(np.full(20, 0.5))))
    assert 0.39 * RESNET20.original.params < cost.params <= 0.4 * RESNET20.original.params


def test_channel_counts_follow_the_multiple():
    problem = of_resnet20(multiple=8, min_keep=0.25)
    counts = problem.execute(np.random.default_rng(1).uniform(0.2, 1, 12))
    assert ((counts % 8 == 0) | (counts == problem.sizes)).all()


def test_a_network_with_nothing_to_prune_is_refused():
    model = CostModel(trace(torch.nn.Sequential(torch.nn.Linear(4, 2)), torch.zeros(1, 4)))
    with pytest.raises(TraceError, match="nothing to prune or quantize: network output"):
        Problem.of(model, Budget.parse("macs<=50%"))
    without = CostModel(trace(torch.nn.Sequential(torch.nn.ReLU()), torch.zeros(1, 4)))
    with pytest.raises(TraceError, match="nothing to prune or quantize"):
        Problem.of(without, Budget(()))


def test_topologies_all_have_something_to_decide():
    for kind in topologies.ALL:
        # Channels become pixels, or change their places with their values: they are kept whole.
        if kind in (topologies.PixelShuffle, topologies.Sorted):
            continue
        cost_model = CostModel(trace(kind(), topologies.example_inputs(kind)))
        assert len(Problem.of(cost_model, Budget(())))
