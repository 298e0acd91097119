import functools

import numpy as np
import pytest

import small_problems as problems
from sartor.agents import Agent, VectorAgent, class_of, name_of


class Rising(VectorAgent):
    """Proposes more in every episode."""

    episodes = 0

    def propose(self):
        self.episodes += 1
        return np.array([0.1, 0.2]) * self.episodes

    def learn(self, trajectory, *, own):
        pass


def rising(context):
    return Rising(context)


@pytest.fixture
def context():
    return problems.context_of(problems.channels(""))


def test_an_agent_knows_the_search_it_is_made_for(context):
    assert Rising(context).context is context


def test_the_plan_of_an_episode_is_settled_when_it_begins(context):
    agent = Rising(context)
    observation = np.zeros(11, np.float32)
    agent.begin()
    first = [agent.act(observation, step) for step in (0, 1, 0)]
    assert first == [0.1, 0.2, 0.1]
    assert all(type(ratio) is float for ratio in first)
    agent.begin()
    assert agent.act(observation, 1) == 0.4


def test_nothing_is_planned_before_an_episode_begins(context):
    with pytest.raises(IndexError):
        Rising(context).act(np.zeros(11, np.float32), 0)


def test_facts_are_those_of_the_class_that_a_factory_makes():
    assert class_of(Rising) is Rising
    assert class_of(functools.partial(Rising, speed=2)) is Rising
    assert class_of(functools.partial(rising, speed=2)) is Agent
    assert class_of(rising) is Agent
    assert class_of(dict) is Agent


def test_agents_are_called_by_their_names_or_by_where_they_lie():
    assert name_of("evolution") == "evolution"
    assert name_of(Rising) == f"{__name__}:Rising"
    assert name_of(rising) == f"{__name__}:rising"
    assert name_of(functools.partial(Rising, speed=2)) == f"{__name__}:Rising"
