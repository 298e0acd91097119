"""All rewards by name."""

from __future__ import annotations

from sartor.registry import Registry
from sartor.scoring.rewards._base import Reward

#: Every `Reward` by its name; ``package.module:OBJECT`` is a name too.
REWARDS: Registry[Reward] = Registry(
    "reward",
    {
        "accuracy": "sartor.scoring.rewards._accuracy:ACCURACY",
        "accuracy-macs": "sartor.scoring.rewards._accuracy:ACCURACY_MACS",
        "accuracy-params": "sartor.scoring.rewards._accuracy:ACCURACY_PARAMS",
        "fidelity": "sartor.scoring.rewards._fidelity:FIDELITY",
        "fidelity-macs": "sartor.scoring.rewards._fidelity:FIDELITY_MACS",
        "fidelity-params": "sartor.scoring.rewards._fidelity:FIDELITY_PARAMS",
        "absolute": "sartor.scoring.rewards._absolute:ABSOLUTE",
    },
)


def as_reward(reward: str | Reward) -> Reward:
    """The reward of a name, or the object itself. Raises `UsageError` for a name nobody has.

    >>> as_reward("fidelity").needs_images
    True
    """
    return REWARDS.get(reward) if isinstance(reward, str) else reward
