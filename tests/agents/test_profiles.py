import numpy as np
import pytest

import small_problems as problems
from sartor.agents import RULES


def test_uniform_is_the_largest_ratio_that_fits():
    """Of 100 MACs with 10 and 4 channels, half: 7 and 3 take 28 + 21 + 15 = 64, 6 and 2 take 46."""
    problem = problems.channels("macs<=50%")
    ratios = RULES.get("uniform")(problems.context_of(problem))
    assert ratios[0] == pytest.approx(ratios[1])
    assert np.rint(ratios * problem.sizes).tolist() == [6, 2]
    more = np.rint((ratios + 0.01) * problem.sizes).astype(int)
    assert not problem.fits(more[None])[0]


@pytest.mark.parametrize(
    ("rule", "expected"),
    [("uniform", (0.5, 0.5)), ("shallow", (0.25, 0.75)), ("deep", (0.75, 0.25))],
)
def test_without_a_budget_half_is_kept_on_average(rule, expected):
    problem = problems.channels("")
    assert RULES.get(rule)(problems.context_of(problem)) == pytest.approx(expected)


@pytest.mark.parametrize(
    ("rule", "budget", "slope"), [("shallow", "macs<=30%", 3.0), ("deep", "macs<=45%", 1 / 3)]
)
def test_profiles_rise_and_fall_threefold(rule, budget, slope):
    problem = problems.channels(budget)
    first, last = RULES.get(rule)(problems.context_of(problem))
    assert last / first == pytest.approx(slope)


def test_everything_is_kept_where_everything_fits():
    problem = problems.channels("macs<=100%")
    assert RULES.get("uniform")(problems.context_of(problem)) == pytest.approx([1.0, 1.0])


def test_no_more_is_kept_than_there_is_and_no_less_than_must_be():
    problem = problems.channels("macs<=90%")
    ratios = RULES.get("shallow")(problems.context_of(problem))
    assert ratios.max() == 1.0
    assert (ratios >= problem.lowest / problem.sizes).all()


@pytest.mark.parametrize(
    ("rule", "budget", "expected"),
    [
        # Of 10 and 4 channels. With at least 1 of the second, 5 x + 5 of 100 MACs: x = 2 up to 2.5.
        ("deep", "macs<=17%", (0.25, 0.25)),
        # With all 4 of the second, 8 x + 20 of 100 MACs: x = 8 up to 8.5.
        ("shallow", "macs<=90%", (0.85, 1.0)),
    ],
)
def test_where_one_ratio_is_at_its_end_the_others_use_up_the_budget(rule, budget, expected):
    problem = problems.channels(budget)
    assert RULES.get(rule)(problems.context_of(problem)) == pytest.approx(expected)


def test_without_a_budget_half_of_what_an_earlier_search_kept_is_kept():
    problem = problems.channels("", base=(0.5, 1.0))
    assert RULES.get("uniform")(problems.context_of(problem)) == pytest.approx([0.25, 0.5])


def test_without_a_budget_no_less_is_kept_than_must_be():
    """Half of 2 of 10, and half of that again, would be half a channel."""
    problem = problems.channels("", base=(0.2, 1.0))
    assert RULES.get("shallow")(problems.context_of(problem)) == pytest.approx([0.1, 0.75])
