"""What a search works with, from objects, names or the options."""

from __future__ import annotations

from dataclasses import replace

from sartor.agents import AgentFactory, as_factory, class_of
from sartor.budget import Budget
from sartor.errors import BudgetError, UsageError
from sartor.pipeline._options import SearchOptions
from sartor.pipeline._setup import make_target
from sartor.scoring.rewards import Reward, as_reward
from sartor.targets import Target


def with_names(options: SearchOptions, **parts: object) -> SearchOptions:
    """The options, with those of ``parts`` in them that are names; objects are left out."""
    names = {key: part for key, part in parts.items() if isinstance(part, str)}
    return replace(options, **names)  # type: ignore[arg-type]


def choose_budget(budget: object) -> Budget:
    """The bounds that a text or a `Budget` sets. Raises `BudgetError` for anything else."""
    if isinstance(budget, Budget):
        return budget
    if not isinstance(budget, str):
        raise BudgetError(
            f"budget is {budget!r}; it must be text such as 'macs<=50%' or 'latency<=4ms', "
            "or a sartor.Budget"
        )
    return Budget.parse(budget)


def choose_agent(agent: object, options: SearchOptions) -> str | AgentFactory:
    """The agent that is given as an object, else that of the options."""
    if agent is None or isinstance(agent, str):
        return options.agent
    if not callable(agent):
        raise UsageError(
            f"agent is {agent!r}; it must be a name, or what makes an agent from a SearchContext, "
            "such as a subclass of sartor.agents.Agent"
        )
    return agent


def choose_reward(
    reward: object,
    options: SearchOptions,
    agent: str | AgentFactory,
    budget: Budget,
    *,
    has_images: bool,
) -> Reward:
    """The reward that is given as an object, else that of the options, else of the agent or data.

    Raises `UsageError` for a reward that needs images or a bound on latency where there is none.
    """
    by_data = "fidelity" if has_images else "accuracy"
    by_agent = class_of(as_factory(agent)).default_reward
    if isinstance(reward, Reward):
        chosen = reward
    elif reward is None or isinstance(reward, str):
        chosen = as_reward(options.reward or by_agent or by_data)
    else:
        raise UsageError(
            f"reward is {reward!r}; it must be a name, or an object of a subclass of "
            "sartor.scoring.rewards.Reward"
        )

    if chosen.needs_images and not has_images:
        raise UsageError(
            f"reward {chosen.name!r} compares outputs on images; with evaluate, use an accuracy "
            "reward"
        )
    if chosen.needs_latency and not budget.bounds_latency:
        raise UsageError(
            f"reward {chosen.name!r} needs a budget on latency, such as latency<=0.3, and a "
            f"target; with the budget {budget} name a reward that enforces it, such as {by_data}"
        )
    return chosen


def require_timed(target: Target | None, budget: Budget) -> None:
    """Raise `UsageError` for a bound on latency where latencies mean nothing."""
    if target is None or not budget.bounds_latency:
        return
    described = target.describe()
    if described.emulated:
        raise UsageError(
            f"target {described.target} is {described.device}: its latencies mean nothing. Give "
            f"a budget that counts, such as macs<=50%, instead of {budget}"
        )


def choose_target(target: object, options: SearchOptions) -> Target | None:
    """The target that is given as an object, else that of the options; None without one.

    Raises `UsageError` for one that only executes artifacts to verify them.
    """
    if target is None or isinstance(target, str):
        made = make_target(options)
        if made is not None and not made.times:
            raise UsageError(
                f"target {made.name} only verifies artifacts; search on a target that measures or "
                "estimates, such as fpga:pynq-z2"
            )
        return made
    if not isinstance(target, Target):
        raise UsageError(
            f"target is {target!r}; it must be a name, or an object of a subclass of "
            "sartor.targets.Target"
        )
    return target
