"""The planner: its model of policies, and what it takes over from other searches."""

import itertools
from dataclasses import replace

import numpy as np
import pytest
import torch

import small_problems as problems
from sartor.agents import AGENTS, Decisions, Experience, Trajectory
from sartor.agents.planner._corrections import Corrections
from sartor.budget import Budget
from sartor.cost import CostModel
from sartor.errors import RunError
from sartor.graph import trace
from sartor.problem import Problem, SearchSpace


def chain(widths):
    """A problem with one decision for each inner width of a chain of linear layers."""
    layers = [torch.nn.Linear(before, after) for before, after in itertools.pairwise(widths)]
    model = torch.nn.Sequential(*layers)
    cost_model = CostModel(trace(model, torch.zeros(1, widths[0])))
    return Problem.of(cost_model, Budget.parse("macs<=50%"), SearchSpace(min_keep=0.2))


def late_is_worse(context, counts):
    """Errors count more from layer to layer: by a factor of 40 at the end."""
    factors = 40.0 ** np.linspace(0, 1, len(context.problem))
    return -float(
        Decisions.of(context.problem, context.errors).errors_of(counts[None])[0] @ factors
    )


def played(context, episodes, seed=0):
    """Counts and rewards of a planner's episodes where late layers matter more."""
    agent = AGENTS.get("planner")(replace(context, seed=seed))
    problem = context.problem
    found, rewards = [], []
    for _ in range(episodes):
        agent.begin()
        ratios = [agent.act(np.zeros(11, np.float32), step) for step in range(len(problem))]
        counts = problem.execute(ratios)
        reward = late_is_worse(context, counts)
        nothing = np.zeros((len(problem) + 1, 11), np.float32)
        agent.learn(Trajectory(nothing, counts / problem.sizes, reward), own=True)
        found.append(counts)
        rewards.append(reward)
    return np.array(found), np.array(rewards)


@pytest.fixture(scope="module")
def context():
    problem = chain([8, 30, 30, 30, 30, 30, 30, 8])
    errors = [(1 - d.choices / d.size) ** 2 for d in problem.decisions]
    return problems.context_of(problem, errors)


@pytest.fixture(scope="module")
def experience(context):
    counts, rewards = played(context, 40)
    return Experience(Decisions.of(context.problem, context.errors), counts, rewards)


def test_nothing_is_corrected_before_an_episode_was_seen(context):
    decisions = Decisions.of(context.problem, context.errors)
    features = decisions.features_of(context.problem.highest[None]).shape[2]
    corrections = Corrections(features, 0, torch.Generator().manual_seed(0))
    curves = corrections.corrected(decisions, context.problem.highest)
    for curve, same in zip(curves, decisions.errors, strict=True):
        assert curve == pytest.approx(same)


def test_corrections_learn_which_layers_matter(context, experience):
    """Late ones do, by a factor of 40, in a search that has seen it and in one that has not."""
    decisions = experience.decisions
    features = decisions.features_of(experience.counts).shape[2]
    corrections = Corrections(features, 0, torch.Generator().manual_seed(0))
    corrections.fit([experience], 300)
    curves = corrections.corrected(decisions, experience.counts[0])
    factors = [curve[0] / error[0] for curve, error in zip(curves, decisions.errors, strict=True)]
    assert max(factors[:2]) < 0.5 * min(factors[-2:])


def test_it_finds_what_errors_do_not_tell(context):
    _, rewards = played(context, 40)
    assert rewards.max() > 0.6 * rewards[0], "the exact allocation begins"


def test_another_search_teaches_it_where_errors_are_wrong(context, experience):
    """Of a network of other widths: what carries over is that late layers matter more."""
    problem = chain([6, 40, 36, 40, 36, 40, 36, 40, 6])
    errors = [(1 - d.choices / d.size) ** 1.5 for d in problem.decisions]
    other = problems.context_of(problem, errors)
    _, fresh = played(other, 6)
    _, taught = played(replace(other, experience=(experience,)), 6)
    assert taught[2:].max() > fresh.max(), "the first two are the same"
    assert taught[2:].max() > 0.8 * fresh[0]


def test_an_experience_is_the_same_when_it_is_read(experience, tmp_path):
    path = tmp_path / "experience.json"
    experience.save(path)
    read = Experience.read(path)
    assert read.digest == experience.digest
    assert (read.counts == experience.counts).all()


@pytest.mark.parametrize("text", ["{}", '{"schema": 1}', '{"schema": 1, "fixed": 3}'])
def test_other_files_are_refused(text, tmp_path):
    path = tmp_path / "experience.json"
    path.write_text(text)
    with pytest.raises(RunError, match=r"experience\.json is not an experience"):
        Experience.read(path)
    with pytest.raises(RunError, match="is written once a search has ended"):
        Experience.read(tmp_path / "none.json")
