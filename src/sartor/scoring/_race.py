"""When a candidate may be given up: a paired test, image by image, against the best so far."""

from __future__ import annotations

import torch
from torch import Tensor

from sartor.scoring._score import Score

#: Probability, over all looks together, that a candidate no worse than the best is given up.
_FALSE_STOP = 1e-3


def is_hopeless(score: Score, rival: Score, looks: int) -> bool:
    """Whether a ``score`` of the first images is certain to end up worse than the ``rival``'s.

    Both are of the same images, in the same order. Certain but for 0.1 % over all ``looks``; never
    where there is nothing to compare.
    """
    mine = score.losses
    theirs = rival.losses
    if mine is None or theirs is None:
        return False
    return probability_of_no_worse(mine, theirs[: len(mine)]) < _FALSE_STOP / looks


def probability_of_no_worse(mine: Tensor, theirs: Tensor) -> float:
    """How likely losses like ``mine`` are if they are no larger than ``theirs`` in truth.

    Both are (images,), image by image. Right or wrong: the exact sign test on the images where they
    differ. Numbers: Student's paired test.
    """
    # Takes a second to import, so not before a race is run.
    from scipy.stats import binom, ttest_1samp

    if mine.dtype == torch.bool:
        losses = int((mine & ~theirs).sum())
        wins = int((theirs & ~mine).sum())
        return float(binom.cdf(wins, wins + losses, 0.5)) if losses > wins else 1.0
    difference = (mine - theirs).double().numpy()
    if not difference.any():
        return 1.0
    return float(ttest_1samp(difference, 0.0, alternative="greater").pvalue)


def estimate(score: Score, rival: Score) -> Score:
    """The rival's score plus the difference on the images seen."""
    seen = score.images
    assert score.correct is not None
    assert rival.correct is not None
    mine = score.correct.float().mean()
    theirs = rival.correct[:seen].float().mean()
    accuracy = max(0.0, rival.accuracy + float(mine - theirs))
    distance = _estimated_divergence(score, rival)
    return Score(accuracy, seen, stopped=True, divergence=distance)


def _estimated_divergence(score: Score, rival: Score) -> float | None:
    if score.divergences is None or rival.divergences is None or rival.divergence is None:
        return None
    behind = (score.divergences - rival.divergences[: score.images]).mean()
    return max(0.0, rival.divergence + float(behind))
