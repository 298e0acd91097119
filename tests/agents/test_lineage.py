from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest

import small_problems as problems
from sartor.agents import _lineage
from sartor.agents._allocation import allocate
from sartor.agents._lineage import Lineage, _free_errors, _least, _without_choice

BOTH = [True, True]
FIRST = [True, False]
#: Errors of the widths 1 to 10 and 1 to 4 that are easy to take the square root of.
SQUARES = [np.arange(9, -1, -1.0) ** 2, np.arange(3, -1, -1.0) ** 2]


def lineage(free=BOTH, budget="", start=(10, 4), errors=None, seed=0):
    """A lineage of the widths 10 and 4."""
    context = problems.context_of(problems.channels(budget), errors)
    free = np.array(free)
    return Lineage(replace(context, seed=seed), free, np.array(start))


def learn(subject, counts, reward):
    subject.learn(np.array(counts), reward)


class Promise:
    """Stands for a surrogate: of a policy it expects less, the larger its features are.

    It keeps what it was fitted to, and whether it was tuned.
    """

    def __init__(self):
        self.fits = []
        self.tuned = []

    def fit(self, features, rewards, *, tune):
        self.fits.append((features.tolist(), rewards.tolist()))
        self.tuned.append(tune)

    def predict(self, features):
        return -features.sum(1), np.ones(len(features))

    def improvement(self, features):
        return -features.sum(1)


def with_promise(**options):
    """A lineage whose surrogate promises more the wider a policy is."""
    subject = lineage(errors=SQUARES, **options)
    subject._surrogate = Promise()
    return subject


def bred(subject, *generations):
    """Lets the breeder return these generations; the calls of it."""
    calls = []
    left = list(generations)

    def breed(parents, count):
        calls.append((parents.tolist(), count))
        return np.array(left.pop(0))

    subject._breeder.breed = breed
    return calls


def test_numbers_are_those_of_the_documentation():
    assert _lineage._MUTANTS == 96
    assert _lineage._GENERATIONS == 3
    assert _lineage._PARENTS == 8
    assert _lineage._BLIND == 8
    assert _lineage._TUNE == 10


def test_a_lineage_begins_with_nothing():
    subject = lineage(FIRST, start=(7, 4))
    assert subject.free.tolist() == FIRST
    assert subject.start.tolist() == [7, 4]
    assert subject.size == 0
    assert subject.proposed == 0
    assert subject.best == -np.inf


def test_policies_are_remembered_once_with_the_best_reward():
    subject = lineage()
    learn(subject, [10, 4], -3.0)
    learn(subject, [5, 2], -1.0)
    learn(subject, [6, 2], -2.0)
    learn(subject, [10, 4], -0.5)
    assert subject.size == 3
    assert subject.best == -1.0, "a policy known already is not looked at again"


def test_policies_that_a_lineage_could_not_have_proposed_teach_it_nothing():
    subject = lineage(FIRST)
    learn(subject, [5, 3], -1.0)
    assert subject.size == 0
    assert subject.best == -np.inf
    learn(subject, [5, 4], -2.0)
    assert subject.size == 1


def test_the_first_eight_proposals_ask_no_surrogate():
    """In turn far and near the exact allocation, every fourth anywhere."""
    subject = lineage()
    learn(subject, [5, 2], -1.0)
    made = []
    subject._decode = made.append
    subject._breeder.anywhere = lambda: made.append("anywhere")
    subject._promising = lambda: pytest.fail("asked")
    for proposed in range(8):
        subject.proposed = proposed
        subject.propose()
    assert made == [0.7, 0.35, 0.7, "anywhere"] * 2


def test_after_eight_proposals_the_most_promising_that_is_new_is_proposed():
    subject = lineage()
    learn(subject, [5, 2], -1.0)
    learn(subject, [6, 2], -1.0)
    subject.proposed = 8
    subject._promising = lambda suggested: np.array([[5, 2], [6, 2], [7, 3], [8, 3]])
    assert subject.propose().tolist() == [7, 3]


def test_what_its_own_surrogate_leads_to_is_new_and_fits():
    subject = lineage(budget="macs<=50%", errors=SQUARES)
    for counts in ([6, 2], [5, 3], [3, 4]):
        learn(subject, counts, -float(counts[0]))
    subject.proposed = 8
    found = subject.propose().tolist()
    assert found not in [[6, 2], [5, 3], [3, 4]]
    assert subject.context.problem.fits(np.array([found]))[0]


def test_what_is_proposed_is_what_the_problem_executes():
    """Of half the MACs: 4·6 + 6·2 + 5·2 = 46 of 100, and 10 with 4 are too many."""
    subject = lineage(budget="macs<=50%")
    learn(subject, [6, 2], -1.0)
    subject.proposed = 8
    subject._promising = lambda suggested: np.array([[10, 4], [6, 2]])
    found = subject.propose()
    executed = subject.context.problem.execute([1.0, 1.0])
    assert found.tolist() == executed.tolist() != [6, 2]


def test_where_every_mutant_is_known_a_policy_from_anywhere_is_proposed():
    subject = lineage()
    learn(subject, [5, 2], -1.0)
    subject.proposed = 8
    subject._promising = lambda suggested: np.array([[5, 2]])
    subject._breeder.anywhere = lambda: np.array([1, 1])
    assert subject.propose().tolist() == [1, 1]


def test_without_a_policy_to_breed_from_no_surrogate_is_asked():
    subject = lineage()
    subject.proposed = 8
    subject._decode = lambda spread: spread
    assert subject.propose() == 0.7


def test_the_surrogate_sees_square_roots_of_errors_of_what_is_free():
    """Widths between choices count as the next, widths above all as the last."""
    both = lineage(errors=SQUARES)
    assert both._features(np.array([[10, 4], [8, 1], [1, 3]])).tolist() == [[0, 0], [2, 3], [9, 1]]
    first = lineage(FIRST, errors=SQUARES)
    assert first._features(np.array([[10, 4], [8, 4]])).tolist() == [[0], [2]]

    decisions = both.context.problem.decisions
    decisions[0] = replace(decisions[0], choices=np.array([2, 5, 9]))
    both.errors[0] = np.array([16.0, 9.0, 4.0])
    found = both._features(np.array([[1, 4], [2, 4], [3, 4], [9, 4], [10, 4]]))
    assert found[:, 0].tolist() == [4, 4, 3, 2, 2]


def test_parents_are_the_eight_of_which_the_surrogate_expects_most_the_best_first():
    subject = with_promise()
    for width in (3, 9, 1, 10, 4, 2, 6, 5, 8, 7):
        learn(subject, [width, 4], -float(width))
    parents = subject._parents()
    assert parents.tolist() == [[width, 4] for width in (10, 9, 8, 7, 6, 5, 4, 3)]
    features, rewards = subject._surrogate.fits[0]
    assert features == [[10 - width, 0] for width in (3, 9, 1, 10, 4, 2, 6, 5, 8, 7)]
    assert rewards == [-3, -9, -1, -10, -4, -2, -6, -5, -8, -7]


def test_the_kernel_is_chosen_at_first_and_at_every_tenth_proposal():
    subject = with_promise()
    learn(subject, [5, 2], -1.0)
    for subject.proposed in range(8, 31):
        subject._is_fitted = False
        subject._parents()
    tuned = [place + 8 for place, is_tuned in enumerate(subject._surrogate.tuned) if is_tuned]
    assert tuned == [8, 10, 20, 30]


def test_three_generations_are_bred_each_from_the_most_promising_of_the_last():
    subject = with_promise()
    learn(subject, [1, 1], -1.0)
    calls = bred(
        subject,
        [[width, 1] for width in range(1, 11)],
        [[2, 2], [9, 2]],
        [[10, 2], [1, 2]],
        [[3, 4], [10, 2], [3, 4]],
    )
    found = subject._promising()

    assert [count for _, count in calls] == [96] * 4
    assert calls[0][0] == [[1, 1]]
    first = [[width, 1] for width in (10, 9, 8, 7, 6, 5, 4, 3)]
    assert calls[1][0] == first
    # Promises are (x − 10) + (y − 4): [9, 2] comes after [10, 1], which was there before.
    second = [[10, 1], [9, 2], [9, 1], [8, 1], [7, 1], [6, 1], [5, 1], [4, 1]]
    assert calls[2][0] == second
    third = [[10, 2], *second[:7]]
    assert calls[3][0] == third
    assert found.tolist() == [*third[:7], [3, 4], third[7]], "each once"


def test_of_equally_promising_policies_the_first_comes_first():
    subject = with_promise()
    pool = [[8, 4], [10, 2], [9, 3], [10, 4], [7, 4]]
    ordered = subject._by_promise(np.array(pool)).tolist()
    assert ordered == [[10, 4], [8, 4], [10, 2], [9, 3], [7, 4]]


def spied_allocation(monkeypatch):
    calls = []

    def allocation(problem, errors, start, rounds):
        calls.append(SimpleNamespace(errors=errors, start=start, rounds=rounds))
        return start

    monkeypatch.setattr(_lineage, "allocate", allocation)
    return calls


def test_error_curves_are_disturbed_by_one_log_normal_factor_for_each_decision(monkeypatch):
    subject = lineage(start=(9, 3))
    calls = spied_allocation(monkeypatch)
    for _ in range(1000):
        assert subject._decode(0.7).tolist() == [9, 3]
    logarithms = []
    for call in calls:
        row = []
        for curve, known in zip(call.errors, subject.context.errors, strict=True):
            ratios = curve[:-1] / known[:-1]
            assert ratios == pytest.approx(ratios[0]), "one factor for all choices"
            row.append(np.log(ratios[0]))
        logarithms.append(row)
    assert np.mean(logarithms, axis=0) == pytest.approx(0, abs=0.08)
    assert np.std(logarithms, axis=0) == pytest.approx(0.7, rel=0.1)
    assert abs(np.corrcoef(np.transpose(logarithms))[0, 1]) < 0.1
    assert {call.rounds for call in calls} == {2}


def test_undisturbed_curves_lead_to_the_exact_allocation():
    subject = lineage(budget="macs<=50%", start=(1, 1), errors=SQUARES)
    problem = subject.context.problem
    expected = allocate(problem, SQUARES, np.array([1, 1]))
    assert subject._decode(0.0).tolist() == expected.tolist()


def test_what_is_not_free_is_allocated_whole():
    subject = lineage(FIRST, budget="macs<=76%", start=(1, 4), errors=SQUARES)
    assert subject._decode(0.0).tolist() == [7, 4], "28 + 28 + 20 of 100"
    assert subject.errors[0].tolist() == SQUARES[0].tolist()
    assert subject.errors[1].tolist() == [np.inf, np.inf, np.inf, 0.0]


def test_what_belongs_to_other_decisions_is_refused():
    with pytest.raises(ValueError, match="zip"):
        _free_errors(SQUARES, np.array([True]))
    with pytest.raises(ValueError, match="zip"):
        _without_choice(problems.channels("").decisions, np.array([True]))


def test_the_seed_decides_what_a_lineage_proposes():
    one, same, other = (lineage(budget="macs<=50%", seed=seed) for seed in (0, 0, 1))

    def draws(subject):
        subject.proposed = 3
        return [subject.propose().tolist() for _ in range(10)]

    first = draws(one)
    assert draws(same) == first
    assert draws(other) != first


def of_kinds(problem):
    return Lineage.of_kinds(problems.context_of(problem))


def test_kinds_have_no_lineages_without_a_budget_or_where_there_is_one_kind():
    assert of_kinds(problems.joint("")) == []
    assert of_kinds(problems.channels("macs<=50%")) == []
    assert of_kinds(problems.weights("params<=50%")) == []


def test_each_kind_that_meets_the_budget_alone_has_a_lineage_from_its_exact_allocation():
    """Of 102 400 BOPs, 8 bits everywhere leave a sixteenth, widths of 1 and 1 a tenth."""
    problem = problems.joint("bops<=20%")
    bits, widths = of_kinds(problem)
    assert bits.free.tolist() == [True, False, True, False, True]
    assert widths.free.tolist() == [False, True, False, True, False]
    for subject in (bits, widths):
        whole = subject.start == problem.highest
        assert whole[~subject.free].all()
        assert not whole[subject.free].all()
        assert problem.fits(subject.start[None])[0]
        assert subject.context.problem is problem
        assert subject.size == 0
    # One layer at 32 bits: 20 of 100 MACs, and 80/16 of the rest, are 25 %.
    assert bits.start.tolist() == [1, 10, 1, 4, 1]


def test_a_kind_that_cannot_meet_the_budget_alone_has_no_lineage():
    """Widths of 1 and 1 need 4 + 1 + 5 = 10 of 100 MACs, the coarsest bits 1/16 of the BOPs."""
    (bits,) = of_kinds(problems.joint("bops<=9%"))
    assert bits.free.tolist() == [True, False, True, False, True]
    (widths,) = of_kinds(problems.joint("macs<=50%"))
    assert widths.free.tolist() == [False, True, False, True, False]


def of_latency(counted=True):
    """Widths 10 and 4 with latency: that of a policy is 10 ms less one for each channel given up.

    But for the first width at 1, which takes 20 ms.
    """
    problem = problems.channels("")
    problem.budget = SimpleNamespace(bounds_hardware=counted)

    def usage(counts):
        given_up = (problem.highest - counts).sum(1)
        return np.where(counts[:, 0] == 1, 20.0, 10.0 - given_up) / 5

    problem.usage = usage
    problem.fits = lambda counts: usage(counts) <= 1
    return problem


def test_the_least_of_a_kind_are_its_smallest_choices():
    problem = problems.channels("macs<=50%")
    assert _least(problem, np.array(BOTH)).tolist() == [1, 1]
    assert _least(problem, np.array(FIRST)).tolist() == [1, 4]


def test_where_the_smallest_is_too_slow_the_fastest_is_the_least():
    assert _least(of_latency(), np.array(BOTH)).tolist() == [2, 1]
    assert _least(of_latency(), np.array(FIRST)).tolist() == [2, 4]
    assert _least(of_latency(), np.array([False, True])).tolist() == [10, 1]
    assert _least(of_latency(counted=False), np.array(BOTH)).tolist() == [1, 1]


def test_where_the_smallest_is_fast_enough_it_is_the_least():
    problem = of_latency()
    problem.fits = lambda counts: np.ones(len(counts), bool)
    assert _least(problem, np.array(BOTH)).tolist() == [1, 1]
