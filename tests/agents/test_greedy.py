import numpy as np
import pytest

import small_problems as problems
from sartor.agents import RULES
from sartor.agents._greedy import _below


def greedy(problem, errors):
    ratios = RULES.get("greedy")(problems.context_of(problem, errors))
    return np.rint(ratios * problem.sizes).astype(int).tolist()


def test_what_costs_no_error_goes_first_and_no_further_than_needed():
    """Only 10 → 7 of the first: 28 + 28 + 20 = 76 of 100 MACs; with 8 it would be 84."""
    problem = problems.channels("macs<=80%")
    free, dear = np.zeros(10), np.linspace(1, 0, 4)
    assert greedy(problem, [free, dear]) == [7, 4]


def test_errors_are_weighed_by_what_is_saved():
    """A step of 10 saves 8 MACs, one of 4 saves 15.

    The second is cheaper though its error is larger.
    """
    problem = problems.channels("macs<=85%")
    first = np.arange(9, -1, -1) * 0.10
    second = np.arange(3, -1, -1) * 0.15
    assert greedy(problem, [first, second]) == [10, 3]
    second = np.arange(3, -1, -1) * 0.19
    assert greedy(problem, [first, second]) == [8, 4]


def test_nothing_is_given_up_where_everything_fits():
    problem = problems.channels("macs<=100%")
    assert greedy(problem, [np.zeros(10), np.zeros(4)]) == [10, 4]


def test_it_ends_where_nothing_is_left_to_give_up(monkeypatch):
    problem = problems.channels("macs<=50%")
    monkeypatch.setattr(problem, "fits", lambda counts: np.zeros(len(counts), bool))
    assert greedy(problem, [np.zeros(10), np.zeros(4)]) == problem.lowest.tolist()


@pytest.mark.parametrize(("place", "expected"), [(99, 94), (98, 93), (5, 0), (3, 0), (1, 0)])
def test_a_step_is_a_twentieth_of_the_size(place, expected):
    """Choices 1 to 100: five less, but never below the first."""
    decision = problems.weights("params<=50%").decisions[0]
    hundred = type(decision)("all", 100, np.arange(1, 101), decision.layer)
    assert _below(hundred, place) == expected


def test_a_step_over_choices_that_are_further_apart_is_one_choice():
    decision = problems.weights("params<=50%").decisions[0]
    few = type(decision)("few", 100, np.array([10, 40, 70, 100]), decision.layer)
    assert [_below(few, place) for place in (3, 2, 1)] == [2, 1, 0]


def test_a_step_of_little_is_at_least_one():
    decision = problems.weights("params<=50%").decisions[0]
    small = type(decision)("small", 4, np.arange(1, 5), decision.layer)
    assert _below(small, 3) == 2
