"""All agents and rules by name."""

from __future__ import annotations

from collections.abc import Callable

from sartor.agents._base import AgentFactory, SearchContext
from sartor.machine import FloatArray
from sartor.registry import Registry

#: Keep ratios (decisions,) that need no search.
Rule = Callable[[SearchContext], FloatArray]

#: Every rule by its name.
RULES: Registry[Rule] = Registry(
    "rule",
    {
        "uniform": "sartor.agents._profiles:uniform",
        "shallow": "sartor.agents._profiles:shallow",
        "deep": "sartor.agents._profiles:deep",
        "greedy": "sartor.agents._greedy:greedy",
        "knapsack": "sartor.agents._allocation:knapsack",
    },
)

#: What makes each agent, by its name; ``package.module:Class`` is a name too. Rules are agents that
#: propose one policy.
AGENTS: Registry[AgentFactory] = Registry(
    "agent",
    {
        "ddpg": "sartor.agents._ddpg:DdpgAgent",
        "galen": "sartor.agents._galen:GalenAgent",
        "evolution": "sartor.agents._evolution:EvolutionAgent",
        "planner": "sartor.agents.planner:PlannerAgent",
        "random": "sartor.agents._samplers:RandomAgent",
        "tpe": "sartor.agents._samplers:TpeAgent",
        "cma-es": "sartor.agents._samplers:CmaEsAgent",
        "uniform": "sartor.agents._rules:UniformAgent",
        "shallow": "sartor.agents._rules:ShallowAgent",
        "deep": "sartor.agents._rules:DeepAgent",
        "greedy": "sartor.agents._rules:GreedyAgent",
        "knapsack": "sartor.agents._rules:KnapsackAgent",
    },
)


def as_factory(agent: str | AgentFactory) -> AgentFactory:
    """What makes the agent of a name, or the object itself.

    Raises `UsageError` for a name nobody has.

    >>> as_factory("galen").default_reward
    'absolute'
    """
    return AGENTS.get(agent) if isinstance(agent, str) else agent
