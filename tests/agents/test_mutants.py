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


def test_a_kind_that_can_meet_the_budget_alone_moves_alone():
    """At a fifth, widths are 2 and 1, which take 8 + 2 + 5 of 100 MACs."""
    problem = problems.joint("bops<=20%")
    only_widths = ~problem.quantizes
    found = breeder(problem)._onto_budget(problem.highest[None], only_widths[None])[0]
    assert found[problem.quantizes].tolist() == [2, 2, 2]
    assert (found < problem.highest)[only_widths].all()


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
    assert -0.45 <= jitter.min() < -0.4
    assert 0.4 < jitter.max() <= 0.45
    assert not breeder(problem, ~problem.quantizes)._jitter((3, len(problem))).any()


def test_rows_that_become_the_same_are_one_row_the_first_first():
    problem = problems.channels("")
    rows = np.array([[3, 2], [9, 1], [3, 2], [1, 4]])
    assert breeder(problem).distinct(rows).tolist() == [[3, 2], [9, 1], [1, 4]]


def test_rows_of_other_decisions_are_refused():
    with pytest.raises(ValueError, match="zip"):
        breeder(problems.channels("")).distinct(np.array([[3, 2, 1]]))


def test_the_same_seed_breeds_the_same():
    problem = problems.joint("bops<=20%")
    one, other = (breeder(problem).breed(problem.lowest[None], 20) for _ in range(2))
    assert np.array_equal(one, other)


def test_one_and_a_half_or_three_decisions_are_moved_on_average_or_all():
    chances = breeder(problems.joint(""))._chances(900)
    assert chances.shape == (900, 1)
    values, times = np.unique(chances, return_counts=True)
    assert values == pytest.approx([1.5 / 5, 3 / 5, 1.0])
    assert times == pytest.approx(300, abs=60)


def test_decisions_are_moved_by_a_share_of_their_range_that_is_even_in_its_logarithm():
    """From 3 to 40 percent of 98: the middle is 98 · (0.03 · 0.4)^½ = 10.74."""
    distances = breeder(problems.weights(""))._distances(2000)
    assert distances.shape == (2000, 3)
    assert (distances == distances[:, :1]).all(), "a mutant moves all of them alike"
    assert distances.min() == pytest.approx(2.94, rel=0.02)
    assert distances.max() == pytest.approx(39.2, rel=0.02)
    assert np.median(distances) == pytest.approx(10.74, rel=0.1)


def test_decisions_of_a_short_range_are_moved_by_a_unit_at_least():
    """Widths of 1 to 10 by 3.6 at most; ranges of 1 to 4 and of 1 to 2 by 1.2 and by 1."""
    distances = breeder(problems.joint(""))._distances(2000)
    assert distances.min() == 1.0
    assert distances.max(0) == pytest.approx([1.0, 3.6, 1.0, 1.2, 1.0], rel=0.02)


def moved(problem, chance, distance, mask, count=2000):
    """How far mutants of the middle lie from it, where this is how decisions are moved."""
    made = breeder(problem)
    decisions = len(problem)
    made._chances = lambda count: np.full((count, 1), chance)
    made._distances = lambda count: np.full((count, decisions), distance)
    made._chosen_masks = lambda count: np.tile(mask, (count, 1))
    middle = (problem.lowest + problem.highest) // 2
    return made.breed(middle[None], count) - middle


def test_what_is_moved_is_moved_by_its_distance_up_or_down():
    change = moved(problems.weights(""), 1.0, 10.0, [True, True, True])
    assert change.mean(0) == pytest.approx(0.0, abs=0.8)
    assert change.std(0) == pytest.approx(10.0, rel=0.06)
    others = np.corrcoef(change.T)[np.triu_indices(3, 1)]
    assert np.abs(others).max() < 0.1, "each by a draw of its own"


def test_decisions_are_moved_as_often_as_their_chance_and_their_mask_say():
    change = moved(problems.weights(""), 0.3, 10.0, [True, False, True])
    assert not change[:, 1].any()
    # One in 25 is moved by less than half a percent.
    assert (change[:, [0, 2]] != 0).mean(0) == pytest.approx(0.3 * 0.96, abs=0.03)


def test_a_child_of_one_parent_is_as_likely_of_any():
    problem = problems.channels("")
    parents = np.array([[1, 1], [4, 2], [9, 3]])
    children = breeder(problem)._crossed(parents, 3000)
    assert children.dtype == np.float64
    whole = [(children == parent).all(1).mean() for parent in parents]
    # 7 in 10 have one parent; of the others 1/3 have it twice, and half of the rest are like one.
    assert whole == pytest.approx([(0.7 + 0.3 * (1 / 3 + 2 / 3 / 2)) / 3] * 3, abs=0.03)


def test_anywhere_is_as_likely_at_any_choice_of_a_range():
    """Of 1 to 10: drawn evenly from 1 to 11 and rounded, the ends 1 and 10 have 5 and 15 %."""
    made = breeder(problems.channels(""))
    found = np.array([made.anywhere()[0] for _ in range(2000)])
    shares = np.bincount(found, minlength=11)[1:] / 2000
    assert shares == pytest.approx([0.05, *[0.1] * 8, 0.15], abs=0.025)


def test_policies_that_fit_are_grown_onto_the_budget_and_others_shrunk():
    """Of 50 MACs, 4·6 + 6·2 + 5·2 are 46, and with 7 they are 52; 4·5 + 5·3 + 5·3 are all 50.

    0.5 of 4 is one before it is grown, so the second row goes through 2 to 1.
    """
    made = breeder(problems.channels("macs<=50%"))
    free = np.ones((3, 2), bool)
    rows = np.array([[8.0, 2.0], [2.0, 0.5], [10.0, 4.0]])
    found = made._onto_budget(rows, free)
    assert found.dtype == np.int64
    assert found.tolist() == [[6, 2], [5, 3], [6, 2]]


def test_rows_are_scaled_by_no_more_than_five_and_no_less_than_a_fifth():
    made = breeder(problems.weights("params<=99%"))
    rows = np.full((1, 3), 10.0)
    assert made._onto_budget(rows, np.ones((1, 3), bool)).tolist() == [[50, 50, 50]]
    tight = breeder(problems.weights("params<=5%"))
    rows = np.full((1, 3), 90.0)
    assert tight._onto_budget(rows, np.ones((1, 3), bool)).tolist() == [[18, 18, 18]]
