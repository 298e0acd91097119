"""When measuring may end: by hand."""

import numpy as np
import pytest

from sartor.targets import Patience, QuietGauge, compare
from sartor.targets._timing import Ratio


def test_a_ratio_is_of_the_fastest_against_the_slowest():
    ratio = Ratio.of([2.0, 3.0], [4.0, 6.0])
    assert (ratio.low, ratio.likely, ratio.high) == (2 / 6, 5 / 10, 3 / 4)


@pytest.mark.parametrize(
    ("low", "high", "within"),
    [
        (0.49, 0.51, True),  # 0.01 of 0.5 is 2 %
        (0.49, 0.60, False),  # near below, far above
        (0.40, 0.51, False),  # far below, near above
        (0.40, 0.60, False),
    ],
)
def test_both_ends_of_an_interval_must_be_near(low, high, within):
    assert Ratio(low, 0.5, high).within(0.0201) is within


@pytest.mark.parametrize(("seconds", "quiet"), [(1.0, True), (1.06, True), (1.07, False)])
def test_a_quiet_moment_is_six_percent_slower_than_the_fastest_known_at_most(seconds, quiet):
    gauge = QuietGauge()
    gauge.add(1.0)
    gauge.add(5.0)
    assert gauge.quiet(seconds) is quiet


def test_twenty_comparisons_are_remembered():
    gauge = QuietGauge()
    assert not gauge.known
    assert gauge.quiet(9.0)
    gauge.add(1.0)
    for _ in range(19):
        gauge.add(2.0)
    assert not gauge.quiet(2.0)
    gauge.add(2.0)  # the twenty-first
    assert gauge.quiet(2.0)


def turns(*seconds):
    """A network that takes so long in its runs, then as long as in the last."""
    left = list(seconds)
    return lambda: left.pop(0) if len(left) > 1 else left[0]


def test_an_uneven_interval_is_not_settled():
    """Fastest turns of both: 1, 1 of one and 1, 1.5 of the other, so 1 / 1.5 to 1 / 1."""
    patience = Patience(tolerance=0.25, limit_s=0.0, warm_up=0, least_turns=4, fastest=2)
    original = turns(1.0, 1.0, 1.5, 1.5, 1.5, 1.5)  # the first call warms up
    found = compare(turns(1.0), original, patience, runs=1, pin=False)
    assert (found.low, found.high) == (1 / 1.5, 1.0)
    assert found.relative == pytest.approx(0.8)
    assert found.settled  # 0.2 above and 0.13 below, of 0.2 allowed

    original = turns(1.0, 1.0, 1.5, 1.5, 1.5, 1.5)
    stricter = Patience(tolerance=0.2, limit_s=0.0, warm_up=0, least_turns=4, fastest=2)
    assert not compare(turns(1.0), original, stricter, runs=1, pin=False).settled


def test_the_gauge_learns_the_mean_of_the_fastest_turns_of_the_original():
    gauge = QuietGauge()
    patience = Patience(limit_s=0.0, warm_up=0, least_turns=4, fastest=2)
    compare(turns(1.0), turns(1.0, 1.0, 3.0, 5.0, 5.0), patience, runs=1, pin=False, gauge=gauge)
    edge = 1.06 * np.mean([1.0, 3.0])
    assert gauge.quiet(edge - 1e-9)
    assert not gauge.quiet(edge + 1e-9)
