"""Rewards: from an outcome to the number the agents maximise."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Literal

from sartor.evaluate import Outcome

RewardName = Literal["accuracy", "accuracy-macs", "accuracy-params", "fidelity", "fidelity-macs", "fidelity-params"]


def _accuracy(outcome: Outcome) -> float:
    return -(1 - outcome.accuracy)


def _accuracy_macs(outcome: Outcome) -> float:
    return -(1 - outcome.accuracy) * math.log(max(outcome.cost.macs, 2))


def _accuracy_params(outcome: Outcome) -> float:
    return -(1 - outcome.accuracy) * math.log(max(outcome.cost.params, 2))


def _fidelity(outcome: Outcome) -> float:
    assert outcome.divergence is not None, "this reward needs images, not a custom measure"
    return -outcome.divergence


def _fidelity_macs(outcome: Outcome) -> float:
    return _fidelity(outcome) * math.log(max(outcome.cost.macs, 2))


def _fidelity_params(outcome: Outcome) -> float:
    return _fidelity(outcome) * math.log(max(outcome.cost.params, 2))


#: R = −error under a budget; −error · log(MACs) and −error · log(parameters) find how far compression goes for free
#: (AMC, section 3.4). The fidelity rewards have the divergence from the original's outputs in place of the error: of two
#: candidates that differ in few answers it tells the better one from fewer images.
REWARDS: dict[RewardName, Callable[[Outcome], float]] = {
    "accuracy": _accuracy,
    "accuracy-macs": _accuracy_macs,
    "accuracy-params": _accuracy_params,
    "fidelity": _fidelity,
    "fidelity-macs": _fidelity_macs,
    "fidelity-params": _fidelity_params,
}
