"""When a candidate may be given up: a paired test, image by image, against the best so far."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from sartor.machine import FloatArray
from sartor.scoring._score import Score

#: Probability, over all looks together, that a candidate worth finding is given up: as usual in
#: races (Birattari et al. 2002).
_FALSE_STOP = 0.05
#: Standard errors of the comparison on all images by which such a candidate is better: less is no
#: more than luck with these images, and to look for it takes nearly all of them.
_WORTH = 2.0


def is_hopeless(score: Score, rival: Score, looks: int) -> bool:
    """Whether a ``score`` of the first images will hardly end up better than the ``rival``'s.

    Both are of the same images, in the same order; the rival's of all of them. Wrong, over all
    ``looks``, for at most 5 % of those that will be better by as much as all images can tell;
    never where there is nothing to compare.
    """
    mine = score.losses
    theirs = rival.losses
    if mine is None or theirs is None:
        return False

    probability = probability_of_no_worse(mine, theirs[: len(mine)], len(theirs))
    # The chances of stopping wrongly add up over the looks (Bonferroni).
    return probability < _FALSE_STOP / looks


def probability_of_no_worse(mine: Tensor, theirs: Tensor, images: int | None = None) -> float:
    """How likely losses like ``mine`` are if they are no larger than ``theirs`` in truth.

    Both are (seen,), image by image. Right or wrong: the exact sign test on the images where they
    differ. Numbers: Student's paired test. Where the truth is the mean of so many ``images``, all
    those seen included, only what is not seen is uncertain (Cochran 1977, 2.6), and numbers are
    taken to be smaller in truth by two standard errors of the difference of these means.
    """
    if mine.dtype == torch.bool:
        only_mine = int((mine & ~theirs).sum())
        only_theirs = int((theirs & ~mine).sum())
        return _sign_test(losses=only_mine, wins=only_theirs)

    difference = mine - theirs
    return _paired_test(difference.double().numpy(), images)


def _sign_test(*, losses: int, wins: int) -> float:
    """How likely it is to win no more often where both are equally good."""
    # Takes a second to import, so not before a race is run.
    from scipy.stats import binom

    if losses <= wins:
        return 1.0
    differing = wins + losses
    probability = binom.cdf(wins, differing, 0.5)
    return float(probability)


def _paired_test(differences: FloatArray, images: int | None) -> float:
    """How likely such differences (seen,) are, the first of ``images``: see above."""
    from scipy.stats import t as student

    seen = len(differences)
    # The test has no answer where nothing varies.
    if seen < 2 or not differences.any():
        return 1.0
    spread = float(differences.std(ddof=1))
    error = spread / math.sqrt(seen)
    worth = 0.0
    if images is not None:
        error *= math.sqrt(1 - seen / images)
        worth = _WORTH * spread / math.sqrt(images)

    distance = float(differences.mean()) + worth
    if not error:
        return float(distance <= 0)
    return float(student.sf(distance / error, seen - 1))


def estimate(score: Score, rival: Score) -> Score:
    """The rival's score plus the difference on the images seen, where there is one."""
    return Score(
        accuracy=_estimated_accuracy(score, rival),
        images=score.images,
        stopped=True,
        divergence=_estimated_divergence(score, rival),
    )


def _estimated_accuracy(score: Score, rival: Score) -> float:
    # A metric that is no mean over images has no difference on some of them.
    if score.correct is None or rival.correct is None:
        return score.accuracy

    mine = score.correct.float().mean()
    theirs = rival.correct[: score.images].float().mean()
    ahead = float(mine - theirs)
    return max(0.0, rival.accuracy + ahead)


def _estimated_divergence(score: Score, rival: Score) -> float | None:
    if score.divergences is None or rival.divergences is None or rival.divergence is None:
        return None

    theirs = rival.divergences[: score.images]
    behind = (score.divergences - theirs).mean()
    return max(0.0, rival.divergence + float(behind))
