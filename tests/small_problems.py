"""Small problems whose costs can be computed by hand."""

import numpy as np
import torch

from sartor.agents import SearchContext
from sartor.budget import Budget
from sartor.cost import CostModel
from sartor.graph import trace
from sartor.policy import Policy
from sartor.problem import Problem, SearchSpace


class Rows(torch.nn.Module):
    """Three linear layers without bias: 40, 40 and 20 weights."""

    def __init__(self):
        super().__init__()
        self.a = torch.nn.Linear(4, 10, bias=False)
        self.b = torch.nn.Linear(10, 4, bias=False)
        self.c = torch.nn.Linear(4, 5, bias=False)

    def forward(self, x):
        return self.c(torch.relu(self.b(torch.relu(self.a(x)))))


def channels(budget, base=None):
    """The widths between the layers, 10 and 4: MACs are 4·x + x·y + 5·y.

    ``base`` are the ratios that an earlier search kept of them.
    """
    model = CostModel(trace(Rows(), torch.zeros(1, 4)))
    kept = Policy(channels=dict(zip("ab", base, strict=True))) if base else None
    return Problem.of(model, Budget.parse(budget), SearchSpace(min_keep=0.1), base=kept)


def weights(budget):
    """The percents of single weights of each layer, whose parameters add up."""
    model = CostModel(trace(Rows(), torch.zeros(1, 4)))
    return Problem.of(model, Budget.parse(budget), SearchSpace(granularity="weights"))


def joint(budget, methods=("prune", "quantize"), precisions=((8, 8), (32, 32))):
    """Widths, and 8 or 32 bits of each layer."""
    network = trace(Rows(), torch.zeros(1, 4))
    table = {layer.name: precisions for layer in network.layers}
    space = SearchSpace(methods=methods, min_keep=0.1, precisions=table)
    return Problem.of(CostModel(network), Budget.parse(budget), space)


def context_of(problem, errors=None, episodes=40):
    if errors is None:
        errors = [np.linspace(1, 0, len(decision.choices)) for decision in problem.decisions]
    return SearchContext(problem, 11, episodes, errors, seed=0)
