import numpy as np
import pytest

from sartor.agents._moments import MovingAverage, RunningMoments


def test_rows_are_standardised_by_all_that_were_seen():
    rows = np.random.default_rng(0).normal((3.0, -1.0), (2.0, 0.5), (50, 2))
    moments = RunningMoments(2)
    for row in rows:
        moments.add(row)
    expected = (rows[:5] - rows.mean(0)) / np.sqrt(rows.var(0) + 1e-5)
    found = moments.standardise(rows[:5])
    assert found.dtype == np.float32
    assert found == pytest.approx(expected, abs=1e-5)


def test_what_never_changes_is_zero():
    moments = RunningMoments(1)
    for _ in range(3):
        moments.add(np.array([0.1]))
    assert moments.standardise(np.array([0.1])).tolist() == [0.0]
    assert moments.standardise(np.array([0.1 + 1e-5**0.5])) == pytest.approx([1.0])


def test_before_anything_is_seen_numbers_stay_nearly_as_they_are():
    assert RunningMoments(1).standardise(np.array([2.0])) == pytest.approx([2.0], rel=1e-4)


def test_a_moving_average_begins_with_the_first_number_and_follows_by_its_rate():
    average = MovingAverage(0.1)
    average.add(5.0)
    assert average.value == 5.0
    average.add(15.0)
    assert average.value == pytest.approx(5.0 + 0.1 * 10)
    average.add(-4.0)
    assert average.value == pytest.approx(6.0 - 0.1 * 10)
