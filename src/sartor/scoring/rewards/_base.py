"""What every reward is."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from typing import TYPE_CHECKING, ClassVar

if TYPE_CHECKING:
    from sartor.scoring import Outcome


class Reward(ABC):
    """From an outcome to the number that agents maximise.

    Called with an outcome and with the bound on latency relative to the original's (``ceiling``),
    which is None where the budget has none.

    Attributes:
        name: What options, reports and the registry call it.
        can_race: Whether it rises with what scorers measure alone, so that a candidate that is
            certainly worse than the best so far can be given up.
        needs_images: Whether it compares outputs on images: a measure of the user's own is not
            enough.
        needs_latency: Whether it is defined only under a bound on latency that is measured.
        enforces_budget: Whether proposals are projected onto a bound on latency. If not, the
            bound stands in the reward only.

    >>> from sartor.cost import Cost
    >>> from sartor.scoring import Outcome
    >>> class Squared(Reward):
    ...     name = "squared"
    ...
    ...     def __call__(self, outcome, ceiling):
    ...         return -((1 - outcome.accuracy) ** 2)
    >>> outcome = Outcome(0.5, 100, False, Cost(macs=1000, params=200, size=800, bops=1))
    >>> Squared()(outcome, None)
    -0.25

    """

    name: ClassVar[str]
    can_race: ClassVar[bool] = False
    needs_images: ClassVar[bool] = False
    needs_latency: ClassVar[bool] = False
    enforces_budget: ClassVar[bool] = True

    @abstractmethod
    def __call__(self, outcome: Outcome, ceiling: float | None) -> float:
        """The reward of one outcome."""


def overrun(outcome: Outcome, ceiling: float | None) -> float:
    """How many times slower than allowed a candidate is, at least 1."""
    if ceiling is None or outcome.relative_latency is None:
        return 1.0
    return max(1.0, outcome.relative_latency / ceiling)


def log_cost(cost: int) -> float:
    """The factor by which a cost makes an error worse, more than 0 even for a cost of 0 or 1."""
    # 0 has no logarithm, and that of 1 would reward every error alike.
    return math.log(max(cost, 2))
