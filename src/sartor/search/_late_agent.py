"""An agent that begins at its first turn."""

from __future__ import annotations

from functools import cached_property

from sartor.agents import Agent, AgentFactory, SearchContext, Trajectory


class LateAgent:
    """Is made at its first turn, and then learns from what came before.

    Agents look at errors of layers as they are made, and finding these takes a while: rules that
    need none have been scored by then.
    """

    def __init__(self, factory: AgentFactory, context: SearchContext) -> None:
        self._factory = factory
        self._context = context
        self._before: list[tuple[Trajectory, bool]] = []

    @cached_property
    def agent(self) -> Agent:
        """The agent, whose turn it is."""
        agent = self._factory(self._context)
        for trajectory, own in self._before:
            agent.learn(trajectory, own=own)
        return agent

    def learn(self, trajectory: Trajectory, *, own: bool) -> None:
        """Show it an episode, at once if it has begun."""
        if "agent" in self.__dict__:
            self.agent.learn(trajectory, own=own)
        else:
            self._before.append((trajectory, own))
