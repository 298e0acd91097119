import functools

import numpy as np
import pytest
import torch

import sartor
import topologies
from outside.agent import HillClimber
from sartor.agents import AGENTS, SearchContext, class_of
from sartor.budget import Budget
from sartor.cost import CostModel
from sartor.errors import UsageError
from sartor.graph import trace
from sartor.problem import Problem
from sartor.testing import AgentConformance

QUICK = sartor.SearchOptions(
    episodes=6, finalists=2, compress=sartor.CompressOptions(images=16, final_images=32)
)


class TestHillClimber(AgentConformance):
    @pytest.fixture
    def make(self):
        network = trace(
            topologies.randomized(topologies.Residual()),
            topologies.example_inputs(topologies.Residual),
        )
        problem = Problem.of(CostModel(network), Budget.parse("macs<=50%"))
        errors = [np.zeros(len(decision.choices)) for decision in problem.decisions]
        return lambda: HillClimber(SearchContext(problem, 11, 40, errors, seed=0))


def test_it_is_found_by_its_place():
    assert AGENTS.get("outside.agent:HillClimber") is HillClimber
    with pytest.raises(UsageError, match=r"agent 'outside\.agent:Nobody' cannot be imported"):
        AGENTS.get("outside.agent:Nobody")


def test_it_searches_by_name_and_as_an_object_alike(model, data):
    by_name = sartor.compress(model, data, agent="outside.agent:HillClimber", options=QUICK)
    by_object = sartor.compress(model, data, agent=HillClimber, options=QUICK)
    assert by_name.report.agent == by_object.report.agent == "outside.agent:HillClimber"
    assert by_name.policy == by_object.policy
    assert by_name.report.best.ratio.macs <= 0.5


def test_a_partial_of_it_keeps_its_facts_and_its_name(model, data):
    wide = functools.partial(HillClimber, reach=0.5)
    assert class_of(wide) is HillClimber
    result = sartor.compress(model, data, agent=wide, options=QUICK)
    assert result.report.agent == "outside.agent:HillClimber"
    assert torch.is_tensor(result.model(data.test.normalized()[:1]))
