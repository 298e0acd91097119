import numpy as np
import pytest

import small_problems as problems
from sartor.agents import RULES, EvolutionAgent, Trajectory, _evolution


def agent_of(problem):
    return EvolutionAgent(problems.context_of(problem))


def learn(agent, counts, reward, own=True):
    problem = agent.context.problem
    observations = np.zeros((len(problem) + 1, 11), np.float32)
    agent.learn(Trajectory(observations, np.array(counts) / problem.sizes, reward), own=own)


class Line:
    """Stands for a lineage: proposes always the same policy; keeps what it is shown."""

    def __init__(self, counts, best=-np.inf):
        self.counts = np.array(counts)
        self.proposed = 0
        self.best = best
        self.shown = []

    def propose(self, suggested=None):
        return self.counts

    def learn(self, counts, reward):
        self.shown.append((counts.tolist(), reward))


def with_lines(*lines):
    """An agent that has been shown a policy, of these lineages; the first is the whole one."""
    agent = agent_of(problems.channels(""))
    agent._whole = lines[0]
    lines[0].size = 1
    agent._lineages = list(lines)
    agent._untried = []
    return agent


def play(agent, reward=-1.0):
    """One episode of its own; the counts."""
    counts = np.rint(agent.propose() * agent.context.problem.sizes).astype(int).tolist()
    learn(agent, counts, reward)
    return counts


def test_the_first_proposal_is_the_exact_allocation():
    agent = agent_of(problems.channels("macs<=50%"))
    expected = RULES.get("knapsack")(agent.context)
    assert agent.propose().tolist() == expected.tolist()


def test_after_an_episode_its_lineage_proposes():
    agent = agent_of(problems.channels("macs<=50%"))
    learn(agent, [6, 2], -1.0, own=False)
    (lineage,) = agent._lineages
    lineage.propose = lambda suggested: np.array([5, 3])
    assert agent.propose().tolist() == [0.5, 0.75]


def test_allocations_of_each_kind_alone_are_carried_out_before_anything_is_bred():
    problem = problems.joint("bops<=20%")
    agent = agent_of(problem)
    whole, bits, widths = agent._lineages
    learn(agent, problem.lowest, -1.0, own=False)
    assert play(agent) == bits.start.tolist()
    assert play(agent) == widths.start.tolist()
    whole.propose = lambda suggested: problem.highest
    bits.propose = widths.propose = lambda suggested: problem.lowest
    whole.proposed = 0
    assert agent.propose().tolist() == [1.0] * 5


def test_the_whole_lineage_begins_with_the_first_allocation_of_one_kind():
    agent = agent_of(problems.joint("bops<=20%"))
    whole, bits, _ = agent._lineages
    assert whole is agent._whole
    assert whole.free.all()
    assert whole.start.tolist() == bits.start.tolist()


def test_where_there_is_one_kind_the_lineage_begins_with_the_uniform_policy():
    agent = agent_of(problems.channels("macs<=50%"))
    (whole,) = agent._lineages
    uniform = agent.context.problem.execute(RULES.get("uniform")(agent.context))
    assert whole.free.tolist() == [True, True]
    assert whole.start.tolist() == uniform.tolist()
    assert whole.context is agent.context


def test_lineages_take_turns_and_only_own_episodes_count():
    one, other = Line([10, 4]), Line([5, 2])
    agent = with_lines(one, other)
    assert [play(agent) for _ in range(4)] == [[10, 4], [5, 2], [10, 4], [5, 2]]
    assert (one.proposed, other.proposed) == (2, 2)
    learn(agent, [1, 1], -1.0, own=False)
    assert (one.proposed, other.proposed) == (2, 2)


def test_every_lineage_learns_from_every_episode():
    one, other = Line([10, 4]), Line([5, 2])
    agent = with_lines(one, other)
    learn(agent, [7, 3], -0.5, own=False)
    learn(agent, [3, 1], -0.25, own=True)
    assert one.shown == other.shown == [([7, 3], -0.5), ([3, 1], -0.25)]


def test_executed_ratios_are_rounded_to_counts():
    agent = with_lines(Line([10, 4]))
    observations = np.zeros((3, 11), np.float32)
    episode = Trajectory(observations, np.array([0.7 - 1e-9, 0.75 + 1e-9]), -1.0)
    agent.learn(episode, own=False)
    assert agent._whole.shown == [([7, 3], -1.0)]
    assert agent._executed(episode).dtype == np.int64


@pytest.mark.parametrize(
    ("proposed", "best", "stays"),
    [(10, -2.0, True), (11, -2.0, False), (11, -1.0, True), (11, -0.5, True)],
)
def test_a_lineage_goes_on_for_twelve_proposals_and_then_while_it_holds_the_best(
    proposed, best, stays
):
    """One more is counted while it learns."""
    whole, other = Line([10, 4], best=-1.0), Line([5, 2], best=best)
    agent = with_lines(whole, other)
    other.proposed = proposed
    agent._turn = other
    learn(agent, [5, 2], -3.0)
    assert (other in agent._lineages) == stays
    assert whole in agent._lineages


def test_a_lineage_is_given_up_only_after_all_have_learnt():
    """The policy that ends its trial is the best of all."""
    whole, other = Line([10, 4], best=-1.0), Line([5, 2], best=-2.0)
    agent = with_lines(whole, other)

    def found(counts, reward):
        whole.best = other.best = reward

    other.learn = found
    other.proposed = 11
    agent._turn = other
    learn(agent, [5, 2], -0.5)
    assert agent._lineages == [whole, other]


def test_a_trial_takes_twelve_proposals():
    assert _evolution._TRIAL == 12
