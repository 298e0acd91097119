from types import SimpleNamespace

import numpy as np
import pytest

from sartor.problem import BitsDecision, ChannelDecision, cheapest
from sartor.problem._corners import combine, corners, ends

LAYER = SimpleNamespace(name="layer")


def channels(*choices):
    return ChannelDecision("group", 10, np.array(choices), LAYER)


def bits(count):
    pairs = ((2, 2), (4, 4), (8, 8), (32, 32))[:count]
    return BitsDecision("layer bits", count, np.arange(1, count + 1), LAYER, pairs)


DECISIONS = [channels(2, 5, 10), bits(3), channels(1, 2)]


def test_ends_are_the_first_and_the_last_choices():
    lowest, highest = ends(DECISIONS)
    assert lowest.tolist() == [2, 1, 1]
    assert highest.tolist() == [10, 3, 2]


def test_widths_and_bits_are_combined_decision_by_decision():
    widths, precisions = np.array([5, 0, 7]), np.array([0, 2, 0])
    assert combine(DECISIONS, widths=widths, bits=precisions).tolist() == [5, 2, 7]


def test_corners_are_all_widths_with_all_bits_coarse_and_then_fine():
    found = corners(DECISIONS, [np.array([4, 4, 4]), np.array([6, 6, 6])])
    assert [row.tolist() for row in found] == [[4, 1, 4], [6, 1, 6], [4, 3, 4], [6, 3, 6]]


def test_the_cheapest_of_two_valleys_is_found():
    """No single decision leads from one to the other."""
    decisions = [channels(1, 2, 3), bits(3)]

    def cost(rows):
        width, precision = rows.T.astype(float)
        narrow_and_coarse = 5 + np.abs(width - 1) + np.abs(precision - 1)
        wide_and_fine = 1 + 3 * (np.abs(width - 3) + np.abs(precision - 3))
        return np.minimum(narrow_and_coarse, wide_and_fine)

    assert cheapest(decisions, cost).tolist() == [3, 3]
    assert cheapest(decisions, lambda rows: -cost(rows)).tolist() in ([1, 3], [3, 1])


@pytest.mark.parametrize("start", ["low", "high"])
def test_a_descent_goes_on_until_nothing_becomes_cheaper(start):
    """Each decision can follow the other by one only, so it takes several rounds."""
    decisions = [channels(*range(1, 10)), bits(4), channels(*range(1, 10))]
    target = 1 if start == "high" else 9

    def cost(rows):
        first, _, last = rows.T.astype(float)
        return np.where(np.abs(first - last) > 1, 100.0, np.abs(first + last - 2 * target))

    found = cheapest(decisions, cost)
    assert cost(found[None])[0] == 0
