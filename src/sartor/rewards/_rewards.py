"""Rewards: from an outcome to the number the agents maximise.

``ceiling`` is the bound on latency relative to the original's, None where there is none. A candidate above it is as good as one
whose accuracy is smaller by as much as it is too slow (Galen's hard exponential reward, w = −1).
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Literal

from sartor.errors import UsageError
from sartor.scoring import Outcome

RewardName = Literal[
    "accuracy",
    "accuracy-macs",
    "accuracy-params",
    "fidelity",
    "fidelity-macs",
    "fidelity-params",
    "absolute",
]

#: Weight of a missed latency in the absolute reward.
_BETA = -3.0


def _overrun(outcome: Outcome, ceiling: float | None) -> float:
    """How many times slower than allowed, at least 1."""
    if ceiling is None or outcome.relative_latency is None:
        return 1.0
    return max(1.0, outcome.relative_latency / ceiling)


def _accuracy(outcome: Outcome, ceiling: float | None) -> float:
    return outcome.accuracy / _overrun(outcome, ceiling) - 1


def _accuracy_macs(outcome: Outcome, ceiling: float | None) -> float:
    return _accuracy(outcome, ceiling) * math.log(max(outcome.cost.macs, 2))


def _accuracy_params(outcome: Outcome, ceiling: float | None) -> float:
    return _accuracy(outcome, ceiling) * math.log(max(outcome.cost.params, 2))


def _fidelity(outcome: Outcome, ceiling: float | None) -> float:
    assert outcome.divergence is not None, "this reward needs images, not a custom measure"
    return -outcome.divergence - (_overrun(outcome, ceiling) - 1)


def _fidelity_macs(outcome: Outcome, ceiling: float | None) -> float:
    return _fidelity(outcome, ceiling) * math.log(max(outcome.cost.macs, 2))


def _fidelity_params(outcome: Outcome, ceiling: float | None) -> float:
    return _fidelity(outcome, ceiling) * math.log(max(outcome.cost.params, 2))


def _absolute(outcome: Outcome, ceiling: float | None) -> float:
    if ceiling is None or outcome.relative_latency is None:
        raise UsageError(
            "reward 'absolute' needs a budget on latency and a target, such as latency<=0.3 and onnxruntime"
        )
    return outcome.accuracy + _BETA * abs(outcome.relative_latency / ceiling - 1)


#: Rewards that rise with what scorers measure alone: a candidate that is worse at it for certain cannot win.
CAN_RACE: tuple[RewardName, ...] = ("accuracy", "fidelity")

#: R = −error under a budget; −error · log(MACs) and −error · log(parameters) find how far compression goes for free
#: (AMC, section 3.4). The fidelity rewards have the divergence from the original's outputs in place of the error: of two
#: candidates that differ in few answers it tells the better one from fewer images. ``absolute`` is Galen's soft one:
#: accuracy + β · |T / (c · T_original) − 1|, no budget enforced.
REWARDS: dict[RewardName, Callable[[Outcome, float | None], float]] = {
    "accuracy": _accuracy,
    "accuracy-macs": _accuracy_macs,
    "accuracy-params": _accuracy_params,
    "fidelity": _fidelity,
    "fidelity-macs": _fidelity_macs,
    "fidelity-params": _fidelity_params,
    "absolute": _absolute,
}
