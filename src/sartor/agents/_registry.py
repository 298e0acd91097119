"""Agents: they see numbers and propose keep ratios, never layers."""

from __future__ import annotations

import functools
from collections.abc import Callable

from sartor.agents._base import Agent, SearchContext, Trajectory, VectorAgent
from sartor.agents._ddpg import DdpgAgent
from sartor.agents._evolution import EvolutionAgent
from sartor.agents._galen import GalenAgent
from sartor.agents._rules import RULES, RuleAgent, RuleName
from sartor.agents._samplers import CmaEsAgent, RandomAgent, TpeAgent
from sartor.errors import UsageError

_AGENTS: dict[str, Callable[[SearchContext], Agent]] = {
    "ddpg": DdpgAgent,
    "galen": GalenAgent,
    "evolution": EvolutionAgent,
    "random": RandomAgent,
    "tpe": TpeAgent,
    "cma-es": CmaEsAgent,
    **{rule: functools.partial(RuleAgent, rule=rule) for rule in RULES},
}

#: Every name `make` knows.
NAMES = tuple(_AGENTS)
#: Agents whose state shows what is measured of each layer before the search.
SEES_MEASUREMENTS = ("galen",)


def make(name: str, setting: SearchContext) -> Agent:
    """An agent by name. Raises `UsageError` for a name that is not in `NAMES`."""
    if name not in _AGENTS:
        raise UsageError(f"agent {name!r} is not known; allowed are {', '.join(NAMES)}")
    return _AGENTS[name](setting)


__all__ = [
    "NAMES",
    "RULES",
    "SEES_MEASUREMENTS",
    "Agent",
    "RuleName",
    "SearchContext",
    "Trajectory",
    "VectorAgent",
    "make",
]
