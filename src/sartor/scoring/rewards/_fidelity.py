"""Rewards by closeness to the original's outputs.

The divergence stands in place of the error: of two candidates that differ in few answers it tells
the better one from fewer images.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from sartor.errors import UsageError
from sartor.scoring.rewards._base import Reward, log_cost, overrun

if TYPE_CHECKING:
    from sartor.scoring import Outcome


class FidelityReward(Reward):
    """R = −divergence, less the share by which a bound on latency is exceeded."""

    name = "fidelity"
    can_race = True
    needs_images = True

    def __call__(self, outcome: Outcome, ceiling: float | None) -> float:
        """At most 0. Raises `UsageError` for an outcome without a divergence."""
        if outcome.divergence is None:
            raise UsageError(
                f"reward {self.name!r} compares outputs on images, which were not measured; "
                "use an accuracy reward"
            )

        excess = overrun(outcome, ceiling) - 1
        return -outcome.divergence - excess


class FidelityMacsReward(Reward):
    """R = −divergence · log(MACs), as `accuracy-macs` with the divergence as the error."""

    name = "fidelity-macs"
    needs_images = True

    def __call__(self, outcome: Outcome, ceiling: float | None) -> float:
        """At most 0. Raises `UsageError` for an outcome without a divergence."""
        reward = FidelityReward()(outcome, ceiling)
        return reward * log_cost(outcome.cost.macs)


class FidelityParamsReward(Reward):
    """R = −divergence · log(parameters), as `accuracy-params` with the divergence as the error."""

    name = "fidelity-params"
    needs_images = True

    def __call__(self, outcome: Outcome, ceiling: float | None) -> float:
        """At most 0. Raises `UsageError` for an outcome without a divergence."""
        reward = FidelityReward()(outcome, ceiling)
        return reward * log_cost(outcome.cost.params)


FIDELITY = FidelityReward()
FIDELITY_MACS = FidelityMacsReward()
FIDELITY_PARAMS = FidelityParamsReward()
