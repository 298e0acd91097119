"""Rewards by accuracy (AMC, section 3.3).

A candidate above the bound on latency is as good as one whose accuracy is smaller by as much as it
is too slow (Galen's hard exponential reward, w = −1).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from sartor.scoring.rewards._base import Reward, log_cost, overrun

if TYPE_CHECKING:
    from sartor.scoring import Outcome


class AccuracyReward(Reward):
    """R = −error under a budget (AMC, equation 4)."""

    name = "accuracy"
    can_race = True

    def __call__(self, outcome: Outcome, ceiling: float | None) -> float:
        """At most 0."""
        return outcome.accuracy / overrun(outcome, ceiling) - 1


class AccuracyMacsReward(Reward):
    """R = −error · log(MACs): finds how far compression goes for free (AMC, equation 5)."""

    name = "accuracy-macs"

    def __call__(self, outcome: Outcome, ceiling: float | None) -> float:
        """At most 0."""
        reward = AccuracyReward()(outcome, ceiling)
        return reward * log_cost(outcome.cost.macs)


class AccuracyParamsReward(Reward):
    """R = −error · log(parameters): finds how far compression goes for free (AMC, equation 6)."""

    name = "accuracy-params"

    def __call__(self, outcome: Outcome, ceiling: float | None) -> float:
        """At most 0."""
        reward = AccuracyReward()(outcome, ceiling)
        return reward * log_cost(outcome.cost.params)


ACCURACY = AccuracyReward()
ACCURACY_MACS = AccuracyMacsReward()
ACCURACY_PARAMS = AccuracyParamsReward()
