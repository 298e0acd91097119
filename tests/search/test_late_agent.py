"""Errors are found, and agents begin, when they are needed."""

import numpy as np

import small_problems as problems
from sartor.agents import Agent, Trajectory
from sartor.search._errors import ErrorsOnDemand
from sartor.search._late_agent import LateAgent


class Listener(Agent):
    """Looks at errors at once, and remembers what it is shown."""

    def __init__(self, context):
        super().__init__(context)
        self.known = len(context.errors)
        self.heard = []

    def act(self, observation, step):
        return 1.0

    def learn(self, trajectory, *, own):
        self.heard.append((trajectory.reward, own))


def episode(reward):
    return Trajectory(np.zeros((3, 11), np.float32), np.ones(2), reward)


def test_an_agent_learns_what_came_before_its_first_turn_and_then_at_once():
    errors = ErrorsOnDemand(lambda: [np.zeros(3), np.zeros(3)])
    late = LateAgent(Listener, problems.context_of(problems.channels("macs<=50%"), errors=errors))
    late.learn(episode(0.5), own=False)
    late.learn(episode(0.25), own=False)
    assert not errors.are_known

    agent = late.agent
    assert errors.are_known
    assert agent.known == 2
    assert agent.heard == [(0.5, False), (0.25, False)]

    late.learn(episode(0.75), own=True)
    assert late.agent is agent
    assert agent.heard[-1] == (0.75, True)
