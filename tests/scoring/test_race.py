import pytest
import torch
from scipy.stats import binomtest, ttest_rel

from sartor.scoring import Score, probability_of_no_worse
from sartor.scoring._race import estimate, is_hopeless


def flags(*values):
    return torch.tensor(values, dtype=torch.bool)


@pytest.mark.parametrize(
    ("losses", "wins", "probability"),
    [
        (0, 0, 1.0),
        (1, 0, 0.5),  # of one toss, none won
        (3, 0, 0.125),
        (3, 1, 5 / 16),  # of four tosses, at most one won
        (10, 0, 1 / 1024),
        (2, 2, 1.0),
        (1, 3, 1.0),
    ],
)
def test_right_and_wrong_are_compared_by_the_sign_test(losses, wins, probability):
    """Images on which both are wrong, or both right, do not count."""
    mine = flags(*[True] * losses, *[False] * wins, True, False)
    theirs = flags(*[False] * losses, *[True] * wins, True, False)
    assert probability_of_no_worse(mine, theirs) == pytest.approx(probability)


def test_numbers_are_compared_by_the_paired_test_of_student():
    mine = torch.tensor([1.0, 2.0, 3.0, 5.0])
    theirs = torch.tensor([1.0, 1.5, 3.5, 2.0])
    expected = ttest_rel(mine.numpy(), theirs.numpy(), alternative="greater").pvalue
    assert probability_of_no_worse(mine, theirs) == pytest.approx(expected)
    assert probability_of_no_worse(theirs, mine) == pytest.approx(1 - expected)
    assert probability_of_no_worse(mine, mine) == 1.0


def test_only_images_that_were_not_seen_are_uncertain():
    generator = torch.Generator().manual_seed(0)
    mine, theirs = torch.rand(2, 100, generator=generator)
    worth = 2 * float((mine - theirs).std()) / 10
    theirs += mine.mean() - theirs.mean() + worth
    assert probability_of_no_worse(mine, theirs + 1e-3, 100) == 1
    assert probability_of_no_worse(mine, theirs - 1e-3, 100) == 0
    likely = probability_of_no_worse(mine, theirs - 0.03, 400)
    assert 0.01 < likely < probability_of_no_worse(mine, theirs - 0.01, 400) < 1


def test_of_those_that_end_up_better_hardly_more_are_given_up_than_is_said():
    """Better by what all images can tell: by two standard errors of their mean."""
    generator = torch.Generator().manual_seed(0)
    given_up = 0
    for _ in range(400):
        difference = torch.randn(300, generator=generator)
        difference -= difference.mean() + 2 * difference.std() / 300**0.5
        seen = difference[:200]
        given_up += probability_of_no_worse(seen, torch.zeros(200), 300) < 0.05
    assert binomtest(given_up, 400, 0.05).pvalue > 1e-3


def of_answers(right, wrong=0, images=None):
    correct = torch.tensor([True] * right + [False] * wrong)
    return Score(float(correct.float().mean()), images or len(correct), correct=correct)


@pytest.mark.parametrize(
    ("losses", "looks", "hopeless"),
    [
        (5, 3, False),  # 2⁻⁵ = 0.031 is above a third of 0.05
        (6, 3, True),  # 2⁻⁶ = 0.016
        (5, 1, True),
        (4, 1, False),  # 2⁻⁴ = 0.063
    ],
)
def test_a_candidate_is_given_up_below_a_twentieth_over_all_looks(losses, looks, hopeless):
    candidate = of_answers(0, losses)
    assert is_hopeless(candidate, of_answers(losses + 5), looks) is hopeless


def test_only_the_images_seen_are_compared():
    """The rival is wrong on all others."""
    candidate, rival = of_answers(0, 20), of_answers(20, 100)
    assert is_hopeless(candidate, rival, 3)
    assert not is_hopeless(of_answers(20), rival, 3)


def test_nobody_is_given_up_without_a_comparison():
    measured = Score(0.0, 0)
    assert not is_hopeless(measured, of_answers(99), 3)
    assert not is_hopeless(of_answers(0, 99), Score(1.0, 0), 3)


def test_losses_are_divergences_where_there_are_any():
    correct = flags(True, False)
    distances = torch.tensor([0.5, 0.25])
    assert Score(0.5, 2, correct=correct).losses.tolist() == [False, True]
    assert Score(0.5, 2, correct=correct, divergences=distances).losses is distances
    assert Score(0.5, 2, divergences=distances).losses is distances
    assert Score(0.5, 0).losses is None


def test_a_candidate_that_was_given_up_gets_the_rivals_score_and_the_difference_seen():
    rival = Score(
        0.9, 4, correct=flags(1, 1, 0, 1), divergence=0.3, divergences=torch.full((4,), 0.3)
    )
    candidate = Score(
        0.5, 2, correct=flags(1, 0), divergence=1.0, divergences=torch.tensor([0.8, 1.2])
    )
    found = estimate(candidate, rival)
    assert found.accuracy == pytest.approx(0.9 + (0.5 - 1.0))
    assert found.divergence == pytest.approx(0.3 + (1.0 - 0.3))
    assert (found.images, found.stopped) == (2, True)
    assert found.losses is None


def test_estimates_are_not_below_zero():
    rival = Score(
        0.5, 4, correct=flags(1, 1, 0, 0), divergence=0.1, divergences=torch.full((4,), 0.9)
    )
    candidate = Score(0.0, 2, correct=flags(0, 0), divergence=0.0, divergences=torch.zeros(2))
    found = estimate(candidate, rival)
    assert (found.accuracy, found.divergence) == (0.0, 0.0)


def test_without_an_original_only_accuracy_is_estimated():
    found = estimate(of_answers(0, 2), of_answers(3, 1))
    assert found.divergence is None
    assert found.accuracy == 0.0
    assert estimate(of_answers(1, 1), of_answers(3, 1)).accuracy == pytest.approx(0.25)
