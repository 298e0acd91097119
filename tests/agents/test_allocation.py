import itertools

import numpy as np
import pytest

import small_problems as problems
from sartor.agents import RULES
from sartor.agents._allocation import (
    _costs_alone,
    _linear_allocation,
    _room,
    _with_decision,
    allocate,
    total_error,
)


def thinned(problem, steps):
    """The same problem with every ``steps``-th choice only, so that all policies can be tried."""
    decisions = [
        type(d)(d.name, d.size, d.choices[::-1][::steps][::-1], d.layer) for d in problem.decisions
    ]
    return type(problem)(problem.cost_model, decisions, problem.budget)


def best_of_all(problem, errors, share):
    """The least error of all policies that use up no more than a share of the budget."""
    policies = np.array(list(itertools.product(*(d.choices for d in problem.decisions))))
    fitting = policies[problem.usage(policies) <= share]
    return min(total_error(problem, errors, counts) for counts in fitting)


@pytest.mark.parametrize("seed", range(6))
@pytest.mark.parametrize("budget", ["params<=40%", "params<=60%", "params<=85%"])
def test_where_costs_add_up_no_policy_is_better(seed, budget):
    """But for one of those that use up all but the three buckets that prices are rounded up by."""
    problem = thinned(problems.weights(budget), 10)
    rng = np.random.default_rng(seed)
    errors = [np.sort(rng.uniform(size=len(d.choices)))[::-1] for d in problem.decisions]
    counts = _linear_allocation(problem, errors, problem.lowest)
    assert problem.fits(counts[None])[0]
    found = total_error(problem, errors, counts)
    assert best_of_all(problem, errors, 1.0) - 1e-12 <= found
    assert found <= best_of_all(problem, errors, 1 - 3 / 2000) + 1e-12


@pytest.mark.parametrize("budget", ["macs<=30%", "macs<=50%", "macs<=80%"])
def test_each_round_carries_out_what_is_best_around_the_last(budget):
    problem = problems.channels(budget)
    errors = [np.linspace(1, 0, 10), np.linspace(2, 0, 4)]
    start = problem.lowest
    linear = _linear_allocation(problem, errors, start)
    first = problem.execute(linear / problem.sizes)
    assert allocate(problem, errors, start, rounds=1).tolist() == first.tolist()
    second = problem.execute(_linear_allocation(problem, errors, first) / problem.sizes)
    expected = min((first, second), key=lambda counts: total_error(problem, errors, counts))
    assert allocate(problem, errors, start, rounds=2).tolist() == expected.tolist()


def test_the_start_is_kept_where_nothing_is_better():
    problem = problems.channels("macs<=50%")
    errors = [np.zeros(10), np.zeros(4)]
    start = problem.lowest
    assert allocate(problem, errors, start) is start


def test_without_rounds_the_start_is_the_result():
    problem = problems.channels("macs<=50%")
    errors = [np.linspace(1, 0, 10), np.linspace(1, 0, 4)]
    assert allocate(problem, errors, problem.lowest, rounds=0).tolist() == problem.lowest.tolist()


def test_everything_is_kept_where_everything_fits():
    problem = problems.channels("macs<=100%")
    errors = [np.linspace(1, 0, 10), np.linspace(1, 0, 4)]
    assert allocate(problem, errors, problem.lowest).tolist() == [10, 4]


def test_total_error_is_the_sum_over_the_decisions():
    problem = problems.channels("macs<=50%")
    errors = [np.arange(10) * 0.1, np.arange(4) * 0.01]
    assert total_error(problem, errors, np.array([10, 4])) == pytest.approx(0.9 + 0.03)
    assert total_error(problem, errors, np.array([1, 2])) == pytest.approx(0.01)


@pytest.mark.parametrize("budget", ["macs<=30%", "macs<=50%", "macs<=80%"])
def test_the_rule_is_never_worse_than_uniform_or_greedy(budget):
    problem = problems.channels(budget)
    rng = np.random.default_rng(0)
    for _ in range(10):
        errors = [np.sort(rng.uniform(size=len(d.choices)))[::-1] for d in problem.decisions]
        context = problems.context_of(problem, errors)
        found = {
            rule: total_error(problem, errors, problem.execute(RULES.get(rule)(context)))
            for rule in ("knapsack", "uniform", "greedy")
        }
        assert found["knapsack"] <= min(found["uniform"], found["greedy"]) + 1e-12


def test_where_even_the_cheapest_choices_are_too_much_they_are_the_result(monkeypatch):
    problem = problems.channels("macs<=50%")
    usage = problem.usage
    monkeypatch.setattr(problem, "usage", lambda counts: usage(counts) + 1)
    cheapest = problem.cheapest()
    errors = [np.linspace(1, 0, 10), np.linspace(1, 0, 4)]
    monkeypatch.setattr(problem, "execute", lambda ratios: np.rint(ratios * problem.sizes))
    found = allocate(problem, errors, np.array([10, 4]), rounds=1)
    assert found.tolist() == [10, 4], "it has a larger error"
    assert allocate(problem, [np.zeros(10), np.arange(4.0)], np.array([10, 4])).tolist() == (
        cheapest.tolist()
    )


def test_there_are_three_rounds_unless_others_are_asked_for(monkeypatch):
    problem = problems.channels("macs<=50%")
    errors = [np.linspace(1, 0, 10), np.linspace(2, 0, 4)]
    executed = []
    execute = problem.execute
    monkeypatch.setattr(
        problem, "execute", lambda ratios: executed.append(ratios) or execute(ratios)
    )
    allocate(problem, errors, problem.lowest)
    assert len(executed) == 3


def test_what_is_left_is_told_from_the_cheapest_of_each_alone():
    """Of 50 of 100 MACs, 28 where the first width is 1 of 10, 55 where the second is 1 of 4.

    That is 72 and 45 less than what all take, which is 100 − 72 − 45 = −17, and leaves 67.
    """
    problem = problems.channels("macs<=50%")
    costs = _costs_alone(problem, problem.highest)
    assert [cost[0] for cost in costs] == pytest.approx([28 / 50, 55 / 50])
    assert [cost[-1] for cost in costs] == pytest.approx([2.0, 2.0])
    assert _room(problem, costs, problem.highest) == pytest.approx(67 / 50)


def test_where_the_cheapest_choices_use_all_of_the_budget_they_are_the_result():
    """Widths of 1 and 1 take 4 + 1 + 5 = 10 of 100 MACs."""
    problem = problems.channels("macs<=10%")
    errors = [np.linspace(1, 0, 10), np.linspace(2, 0, 4)]
    found = _linear_allocation(problem, errors, np.array([1, 1]))
    assert found.tolist() == [1, 1]
    assert found.dtype == np.int64


def test_a_choice_may_take_all_buckets_and_dearer_ones_may_come_before_cheaper_ones():
    least = np.arange(2001, 0, -1.0)  # the more may be spent, the less is lost
    prices = np.array([2001, 2000, 1, 0])
    table = _with_decision(least, prices, np.array([1.0, 10.0, 20.0, 30.0]))
    assert np.isinf(table[0]).all(), "more than there is"
    assert np.isinf(table[1, :-1]).all()
    assert table[1, -1] == 2001 + 10, "nothing is left to the decisions before"
    assert np.isinf(table[2, 0])
    assert table[2, 1:].tolist() == (least[:-1] + 20).tolist()
    assert table[3].tolist() == (least + 30).tolist()


def test_errors_of_other_decisions_are_refused():
    problem = problems.channels("macs<=50%")
    errors = [np.linspace(1, 0, 10)]
    with pytest.raises(ValueError, match="zip"):
        total_error(problem, errors, problem.lowest)
    with pytest.raises(ValueError, match="zip"):
        _linear_allocation(problem, errors, problem.lowest)


def test_where_only_what_costs_too_much_is_allowed_the_cheapest_is_taken(monkeypatch):
    problem = problems.channels("macs<=50%")
    # as on a device where fewer channels may take more
    monkeypatch.setattr(problem, "usage", lambda counts: (24 - counts.sum(1)) / 20)
    monkeypatch.setattr(problem, "cheapest", lambda: problem.highest)
    only_lowest = [np.r_[0.0, np.full(9, np.inf)], np.r_[0.0, np.full(3, np.inf)]]
    found = _linear_allocation(problem, only_lowest, problem.lowest)
    assert found.tolist() == problem.highest.tolist()
