"""How good a network has to be, such as ``accuracy>=-1%``."""

from __future__ import annotations

import re
import unicodedata
from dataclasses import dataclass
from decimal import Decimal

from sartor.budget._bound import QUANTITIES, RESOURCES
from sartor.errors import BudgetError

#: What the metric of every task may be called.
ANY_METRIC = "accuracy"

#: A metric, a number with its sign, and a unit; spaces may lie between them.
_GOAL = re.compile(
    r"^\s*([^<>=]+?)\s*>=?\s*(-?)\s*([0-9.]+(?:e[+-]?\d+)?)\s*(%?)\s*$", re.IGNORECASE
)
_PERCENT = Decimal("0.01")


@dataclass(frozen=True)
class Goal:
    """What the metric has to reach.

    >>> Goal("accuracy", 0.01, relative=True).floor(original=0.93)
    0.92

    Attributes:
        metric: What is measured: ``accuracy``, or the name of the task's metric as `metric_key`
            writes it.
        value: What may be lost of the original's if ``relative``, else what has to be reached.
        relative: Whether the goal is held against the original.
    """

    metric: str
    value: float
    relative: bool

    def floor(self, original: float) -> float:
        """What has to be reached, for what the ``original`` does."""
        return original - self.value if self.relative else self.value

    def __str__(self) -> str:
        """What `Budget.parse` reads as the same goal, to the last bit."""
        sign = "-" if self.relative else ""
        percent = Decimal(repr(float(self.value))) / _PERCENT
        return f"{self.metric}>={sign}{percent.normalize():f}%"


def metric_key(name: str) -> str:
    """The name of a metric as goals write it: letters and digits, in lower case.

    >>> metric_key("top-1"), metric_key("mIoU"), metric_key("R²")
    ('top1', 'miou', 'r2')
    """
    plain = unicodedata.normalize("NFKC", name).lower()
    return "".join(letter for letter in plain if letter.isalnum())


def parse_goal(text: str) -> Goal:
    """A goal as it is written. Raises `BudgetError` for anything else."""
    match = _GOAL.match(text)
    if not match:
        raise BudgetError(
            f"budget {text!r} cannot be read; write for instance accuracy>=-1%, which is what may "
            "be lost, or accuracy>=90%"
        )
    metric = metric_key(match[1])
    if metric in (*QUANTITIES, *RESOURCES, "latency"):
        raise BudgetError(
            f"budget {text!r} bounds {metric} from below; costs have upper bounds, such as "
            f"{metric}<=50%"
        )

    value = _value(match[3], match[4], text)
    relative = match[2] == "-"
    if not relative and value == 0:
        raise BudgetError(f"budget {text!r} asks for nothing; to lose nothing write {metric}>=-0%")
    if value > 1 or (relative and value == 1):
        raise BudgetError(
            f"budget {text!r} must be at most 100 %, and lose less than that; write percents with "
            "their sign, such as accuracy>=-1%"
        )
    return Goal(metric, value, relative)


def _value(digits: str, unit: str, text: str) -> float:
    try:
        number = Decimal(digits)
    except ArithmeticError:
        raise BudgetError(f"budget {text!r}: {digits!r} is not a number") from None
    scale = _PERCENT if unit == "%" else Decimal(1)
    return float(number * scale)
