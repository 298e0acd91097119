import numpy as np
import pytest

import small_problems as problems
from sartor.agents._mutants import Breeder


def breeder(problem, free=None, seed=0):
    free = np.ones(len(problem), bool) if free is None else np.array(free)
    return Breeder(problem, np.random.default_rng(seed), free)


@pytest.mark.parametrize("budget", ["macs<=50%", "macs<=80%"])
def test_mutants_lie_on_the_budget(budget):
    """What they leave is less than one more channel of both would take, but for the least ones."""
    problem = problems.channels(budget)
    mutants = breeder(problem).breed(np.array([[6, 2], [4, 4]]), 200)
    assert mutants.shape == (200, 2)
    assert problem.fits(mutants).all()
    assert ((mutants >= problem.lowest) & (mutants <= problem.highest)).all()
    wider = np.minimum(mutants + 1, problem.highest)
    full = ~problem.fits(wider) | (wider == mutants).all(1)
    assert full.mean() > 0.9


def test_mutants_differ_and_stay_near_their_parents():
    problem = problems.weights("")
    parent = (problem.lowest + problem.highest) // 2
    mutants = breeder(problem).breed(parent[None], 400)
    change = np.abs(mutants - parent)
    assert (change.sum(1) > 0).mean() > 0.5
    assert change.mean() < 15, "of 80 and 98 percents"
    assert len(np.unique(mutants, axis=0)) > 100


def test_children_of_two_parents_have_decisions_of_both():
    problem = problems.weights("")
    low, high = problem.lowest, problem.highest
    mutants = breeder(problem).breed(np.stack([low, high]), 600)
    middle = (low + high) / 2
    above = mutants > middle
    mixed = ~above.all(1) & above.any(1)
    assert 0.05 < mixed.mean() < 0.3, "three in ten are crossed, half of these with another"


def test_what_is_not_free_stays_as_in_the_parents():
    """With 7 of 10, all 4 take 28 + 28 + 20 = 76 of 100 MACs."""
    problem = problems.channels("macs<=76%")
    mutants = breeder(problem, [False, True]).breed(np.array([[7, 1]]), 100)
    assert np.unique(mutants, axis=0).tolist() == [[7, 4]]
    narrower = problems.channels("macs<=75%")
    mutants = breeder(narrower, [False, True]).breed(np.array([[7, 1]]), 100)
    assert np.unique(mutants, axis=0).tolist() == [[7, 3]]


def test_anywhere_is_whole_where_it_is_not_free_and_on_the_budget():
    problem = problems.channels("macs<=60%")
    made = breeder(problem, [False, True])
    found = np.array([made.anywhere() for _ in range(30)])
    assert (found[:, 0] == 10).all()
    assert set(found[:, 1].tolist()) == {1}, "40 + 10 y + 5 y of 100: two would be 70"


def test_anywhere_reaches_every_choice_without_a_budget():
    problem = problems.channels("")
    made = breeder(problem)
    found = np.array([made.anywhere() for _ in range(400)])
    assert set(found[:, 1].tolist()) == {1, 2, 3, 4}
    assert set(found[:, 0].tolist()) == set(range(1, 11))


def test_where_moving_one_kind_is_not_enough_all_that_is_free_is_scaled():
    """A budget that only bits can meet: masks of widths alone would end above it."""
    problem = problems.joint("bops<=7%")
    mutants = breeder(problem).breed(np.array([problem.highest]), 100)
    assert problem.fits(mutants).all()


def test_each_kind_may_move_alone():
    problem = problems.joint("")
    masks = breeder(problem)._chosen_masks(300)
    kinds = {tuple(mask) for mask in masks.tolist()}
    bits = tuple(problem.quantizes.tolist())
    widths = tuple((~problem.quantizes).tolist())
    assert kinds == {bits, widths, (True,) * len(problem)}
    alone = breeder(problem, problem.quantizes)._chosen_masks(5)
    assert alone.tolist() == [list(bits)] * 5


def test_only_free_bits_are_jittered_by_less_than_half_a_choice():
    problem = problems.joint("")
    jitter = breeder(problem)._jitter((200, len(problem)))
    assert not jitter[:, ~problem.quantizes].any()
    assert 0.4 < np.abs(jitter).max() <= 0.45
    assert not breeder(problem, ~problem.quantizes)._jitter((3, len(problem))).any()


def test_rows_that_become_the_same_are_one_row_the_first_first():
    problem = problems.channels("")
    rows = np.array([[3, 2], [9, 1], [3, 2], [1, 4]])
    assert breeder(problem).distinct(rows).tolist() == [[3, 2], [9, 1], [1, 4]]


def test_the_same_seed_breeds_the_same():
    problem = problems.joint("bops<=20%")
    one, other = (breeder(problem).breed(problem.lowest[None], 20) for _ in range(2))
    assert np.array_equal(one, other)
