"""Error curves that run through what candidates really lose."""

import numpy as np
import pytest

import small_problems as problems
from sartor.machine import Step
from sartor.search._probed import probed_errors


class Known:
    """Divergences by a formula, in place of candidates."""

    def __init__(self, law, base=0.0):
        self.law, self.base, self.asked = law, base, []

    def divergence(self, policy):
        self.asked.append(policy)
        return self.base + sum(self.law(name, 1 - keep) for name, keep in policy.channels.items())


def estimates(problem):
    """Squares of what is removed, the same for all decisions."""
    return [(1 - decision.choices / decision.size) ** 2 for decision in problem.decisions]


def test_curves_run_through_what_is_lost():
    """Layer b loses ten times as much as a, which its own estimates do not know."""
    problem = problems.channels("macs<=50%")

    def law(name, removed):
        return (0.3 if name == "a" else 3.0) * removed**2

    events = []
    a, b = probed_errors(problem, estimates(problem), Known(law), events.append)
    for curve, decision, factor in zip((a, b), problem.decisions, (0.3, 3.0), strict=True):
        exact = factor * (1 - decision.choices / decision.size) ** 2
        assert curve == pytest.approx(exact, abs=2e-6)
    assert events[0] == Step("probing", 0, 2, words="a")
    assert events[-1] == Step("probing", 2, 2)


def test_each_decision_is_tried_twice_and_alone():
    known = Known(lambda name, removed: removed)
    probed_errors(*_of(problems.channels("macs<=50%")), known, lambda event: None)
    whole, *tried = known.asked
    assert set(whole.channels.values()) <= {1.0}
    assert [sum(keep < 1 for keep in policy.channels.values()) for policy in tried] == [1] * 4


def test_what_an_earlier_run_has_cost_is_no_error():
    with_cost = probed_errors(
        *_of(problems.channels("macs<=50%")), Known(lambda name, gone: gone, 5.0), lambda e: None
    )
    without = probed_errors(
        *_of(problems.channels("macs<=50%")), Known(lambda name, gone: gone), lambda e: None
    )
    for left, right in zip(with_cost, without, strict=True):
        assert left == pytest.approx(right)


def test_curves_fall_and_end_in_nothing_whatever_is_measured():
    """More kept never counts as worse, an estimate of nothing never lifts its neighbours."""
    problem = problems.channels("macs<=50%")
    flat = [np.zeros(len(decision.choices)) for decision in problem.decisions]
    flat[0][0] = np.inf
    noisy = Known(lambda name, removed: 0.1 if removed < 0.5 else 0.05)
    for curve in probed_errors(problem, flat, noisy, lambda event: None):
        assert (np.diff(curve) <= 0).all()
        assert curve[-1] == 0


def _of(problem):
    return problem, estimates(problem)
