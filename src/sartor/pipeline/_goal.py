"""Budgets that say how good a network has to be: the smallest one that is, by bisection."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path

from sartor.budget import ANY_METRIC, Bounded, Budget, Goal, metric_key
from sartor.errors import BudgetError, RunError
from sartor.machine import read_json, write_text

#: How often the interval of shares is halved: what is found is within a 64th of the smallest.
_HALVINGS = 6
#: Of what a rule needs to meet the goal, a search is given less: it loses less at the same cost.
_AHEAD = 0.9


@dataclass(frozen=True)
class Attempt:
    """One network that was tried on the way.

    Attributes:
        share: What it may cost, as a share of the original's.
        metric: How good it is on all validation images.
        met: Whether that meets the goal.
    """

    share: float
    metric: float
    met: bool


@dataclass(frozen=True)
class Reached:
    """What came of a goal.

    Attributes:
        goal: As it was written.
        quantity: In what the smallest network was sought.
        floor: What the metric has to reach on the validation images.
        share: What the network that was found may cost, as a share of the original's.
        attempts: All networks that were tried for it after the search, in order.
        change: Where the true change of the metric from the original's lies, at 95 %, by the
            validation images; None where it was not counted image by image.
    """

    goal: str
    quantity: Bounded
    floor: float
    share: float
    attempts: tuple[Attempt, ...]
    change: tuple[float, float] | None = None


def require_metric(goal: Goal, metric: str) -> None:
    """Raise `BudgetError` for a goal in another metric than the one that is measured."""
    key = metric_key(metric)
    if goal.metric not in (ANY_METRIC, key):
        raise BudgetError(
            f"budget {str(goal)!r} is about {goal.metric}, measured is {metric}; allowed are "
            f"{ANY_METRIC} and {key}"
        )


def quantity_of(budget: Budget, *, has_target: bool) -> Bounded:
    """In what the smallest network is sought.

    >>> quantity_of(Budget.parse("accuracy>=-1%,size<=100%"), has_target=True)
    'size'
    >>> quantity_of(Budget.parse("accuracy>=-1%"), has_target=False)
    'macs'
    """
    for bound in budget.bounds:
        if not bound.is_floor:
            return bound.quantity
    # A rate is given: what is left to save is the device.
    if budget.bounds:
        return "lut"
    return "latency" if has_target else "macs"


def require_within_reach(goal: Goal, floor: float, original: float, metric: str) -> None:
    """Raise `BudgetError` for a goal that the original itself misses."""
    if original < floor:
        raise BudgetError(
            f"budget {str(goal)!r} is out of reach: the original has {metric} {original:.2%} on "
            "the validation images"
        )


def smallest(
    attempt: Callable[[float], float | None], floor: float, low: float, high: float
) -> tuple[float, list[Attempt]]:
    """The smallest share between two of which what is attempted reaches ``floor``.

    ``attempt`` gives the metric at a share, or None where that cannot be reached; the goal is taken
    to be met at ``high``, which is not tried. Of metrics that do not rise with cost everywhere it
    is a share above which one did not.

    >>> share, tried = smallest(lambda share: share, floor=0.3, low=0.0, high=1.0)
    >>> share, len(tried)
    (0.3125, 6)
    """
    tried = []
    for _ in range(_HALVINGS):
        middle = (low + high) / 2
        metric = attempt(middle)
        met = metric is not None and metric >= floor
        if metric is not None:
            tried.append(Attempt(middle, metric, met))
        if met:
            high = middle
        else:
            low = middle
    return high, tried


def share_to_search(needed: float) -> float:
    """What a search is given where a rule needs a share to meet the goal."""
    return _AHEAD * needed


def read_attempts(path: Path | None) -> list[Attempt] | None:
    """What was tried before a search that goes on; None where it begins."""
    if path is None or not path.exists():
        return None
    stored = read_json(path, missing="", error=RunError)
    return [Attempt(**entry) for entry in stored["attempts"]]


def write_attempts(path: Path | None, attempts: list[Attempt]) -> None:
    """Keep what was tried, so that a search that goes on has the same bounds."""
    if path is not None:
        content = {"attempts": [asdict(attempt) for attempt in attempts]}
        write_text(path, json.dumps(content, indent=1) + "\n")
