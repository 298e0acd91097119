"""The reward that treats a bound on latency as a wish (Galen, equation 6)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sartor.errors import UsageError
from sartor.scoring.rewards._base import Reward

if TYPE_CHECKING:
    from sartor.scoring import Outcome

#: β of the paper: the weight of a missed latency.
_BETA = -3.0


class AbsoluteReward(Reward):
    """R = accuracy + β · |T / (c · T_original) − 1|, β = −3, with the bound on latency as c."""

    name = "absolute"
    needs_latency = True
    enforces_budget = False

    def __call__(self, outcome: Outcome, ceiling: float | None) -> float:
        """At most 1. Raises `UsageError` without a bound on latency, or if none was measured."""
        if ceiling is None or outcome.relative_latency is None:
            raise UsageError(
                "reward 'absolute' needs a budget on latency and a target, such as latency<=0.3 "
                "and onnxruntime"
            )

        # Faster than asked costs as much as slower: the bound is met, not beaten.
        missed = abs(outcome.relative_latency / ceiling - 1)
        return outcome.accuracy + _BETA * missed


ABSOLUTE = AbsoluteReward()
