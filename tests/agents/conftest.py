from dataclasses import replace

import numpy as np
import pytest
import torch

import topologies
from sartor.agents import SearchContext
from sartor.budget import Budget
from sartor.compression import CompressOptions, Compressor
from sartor.graph import trace
from sartor.policy import Policy
from sartor.problem import Problem, SearchSpace


@pytest.fixture(scope="package")
def context():
    """Half of the MACs of a small network with four groups of channels."""
    torch.manual_seed(0)
    network = trace(
        topologies.randomized(topologies.SqueezeExcitation()), torch.randn(1, 3, 16, 16)
    )
    compressor = Compressor(network, torch.randn(32, 3, 16, 16), CompressOptions())
    problem = Problem.of(
        compressor.cost_model, Budget.parse("macs<=50%"), SearchSpace(min_keep=0.1)
    )
    errors = [decision.errors(compressor) for decision in problem.decisions]
    return SearchContext(problem, 11, 40, errors, seed=0)


@pytest.fixture(scope="package")
def narrowed(context):
    """The same after an earlier search, which left one decision without a choice."""
    names = [decision.name for decision in context.problem.decisions]
    base = Policy(channels=dict(zip(names, (0.05, 0.5, 0.75, 1.0), strict=True)))
    problem = Problem.of(
        context.problem.cost_model,
        Budget.parse("macs<=30%"),
        SearchSpace(min_keep=0.1),
        base=base,
    )
    return with_fewer_choices(context, problem)


def with_fewer_choices(context, problem):
    """The same for a problem that has fewer choices."""
    errors = []
    for wide, decision, error in zip(
        context.problem.decisions, problem.decisions, context.errors, strict=True
    ):
        levels = np.searchsorted(wide.choices, decision.choices)
        errors.append(error[levels])
    return replace(context, problem=problem, errors=errors)


@pytest.fixture(scope="package")
def limited():
    """Makes the context of a problem that has fewer choices than another's."""
    return with_fewer_choices
