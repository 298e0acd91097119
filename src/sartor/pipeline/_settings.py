"""What may not change while a search goes on."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

from sartor.agents import AgentFactory, Experience, name_of
from sartor.budget import Budget
from sartor.pipeline._options import SearchOptions
from sartor.policy import Policy
from sartor.scoring.rewards import Reward
from sartor.targets import Target
from sartor.tasks import Task

#: Options of a search that may be others when it goes on; files may have been moved, and devices
#: differ by rounding only.
_MAY_CHANGE = (
    "episodes",
    "worth",
    "max_time",
    "expect",
    "anyway",
    "timed",
    "finalists",
    "repair",
    "repair_images",
    "repair_share",
    "repair_pool",
    "baselines",
    "base",
    "sensitivity",
    "learn_from",
    "table",
    "command",
    "device",
)
#: Digits of a digest that are kept: enough to tell policies apart, few enough to read.
_DIGITS = 12


def settings_of(
    options: SearchOptions,
    *,
    agent: str | AgentFactory,
    reward: Reward,
    budget: Budget,
    target: Target | None,
    base: Policy | None,
    task: Task,
    experience: Sequence[Experience] = (),
) -> dict[str, Any]:
    """What the episodes of a search depend on, by name."""
    settings = asdict(options)
    for name in _MAY_CHANGE:
        del settings[name]
    # Only finalists are refitted from these images, after all episodes.
    del settings["compress"]["final_images"]

    # These may be objects, of which the options know nothing.
    settings["agent"] = name_of(agent)
    settings["reward"] = reward.name
    settings["budget"] = str(budget)
    settings["task"] = task.name
    if target is not None and not options.target:
        settings["target"] = target.name

    if base is not None:
        # The folder may have been moved; what it holds must be the same.
        policy = base.to_json().encode()
        digest = hashlib.sha256(policy).hexdigest()
        settings["policy of the base"] = digest[:_DIGITS]
    if experience:
        # Likewise: folders may have been moved.
        digests = [item.digest[:_DIGITS] for item in experience]
        settings["experience"] = " ".join(digests)
    return settings
