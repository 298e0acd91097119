import numpy as np
import pytest

import small_problems as problems
from sartor.agents import AGENTS, RULES, Trajectory


@pytest.mark.parametrize("name", ["uniform", "shallow", "deep", "greedy", "knapsack"])
def test_a_rule_proposes_its_policy_whatever_it_was_rewarded_with(name):
    problem = problems.channels("macs<=50%")
    context = problems.context_of(problem)
    agent = AGENTS.get(name)(context)
    expected = RULES.get(name)(context).tolist()
    assert agent.context is context
    assert agent.propose().tolist() == expected

    observations = np.zeros((3, 11), np.float32)
    for reward in (-1.0, -2.0):
        agent.learn(Trajectory(observations, np.ones(2), reward), own=True)
        assert agent.propose().tolist() == expected
