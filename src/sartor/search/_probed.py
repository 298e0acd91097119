"""Errors of choices, brought to what candidates really lose."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from sartor.machine import FloatArray, Progress, Step
from sartor.problem import Problem
from sartor.sensitivity import Probes

#: Where a decision is tried: its first choice, and so far from there to the last.
_PARTS = (0.0, 2 / 3)
#: Divergences below this tell nothing, nor do estimates below this share of their largest.
_LEAST = 1e-6
_LEAST_SHARE = 0.01


def probed_errors(
    problem: Problem, errors: Sequence[FloatArray], probes: Probes, progress: Progress
) -> list[FloatArray]:
    """Errors (choices,) of every decision, in nats where the task has classes.

    Estimates at a layer's output (``errors``) cannot know what the layers behind it mend, nor how
    far the network's answers follow a large change. So each decision is carried out alone, at two
    of its choices; the estimates give the shape of the curve between, as a factor of which the
    logarithm is linear. On ResNet-20 at half its MACs the exact allocation over such curves has
    half the divergence of that over the estimates (docs/results.md).
    """
    whole = probes.divergence(problem.policy(problem.highest))
    found = []
    for index, decision in enumerate(problem.decisions):
        progress(Step("probing", index, len(problem), words=decision.name))
        lost = {}
        for place in _places(len(decision.choices)):
            counts = problem.highest.copy()
            counts[index] = decision.choices[place]
            divergence = probes.divergence(problem.policy(counts))
            # What an earlier run has cost already is no error of this decision.
            lost[place] = max(divergence - whole, _LEAST)

        found.append(_through(errors[index], lost))
    progress(Step("probing", len(problem), len(problem)))
    return found


def _places(choices: int) -> list[int]:
    """Where to try; the last choice changes nothing."""
    last = choices - 1
    tried = {int(part * last) for part in _PARTS}
    return sorted(place for place in tried if place < last)


def _through(estimated: FloatArray, lost: Mapping[int, float]) -> FloatArray:
    """The curve of an estimate, scaled so that it runs through what was ``lost`` at some places."""
    if not lost:
        return estimated

    # A choice that would break the network has an infinite estimate.
    finite = np.isfinite(estimated)
    largest = estimated[finite].max(initial=_LEAST)
    known = np.where(finite, np.maximum(estimated, _LEAST_SHARE * largest), largest)
    places = list(lost)
    factors = [np.log(loss / known[place]) for place, loss in lost.items()]
    scale = np.exp(np.interp(np.arange(len(known)), places, factors))

    curve = known * scale
    curve[-1] = 0.0
    curve[~finite] = np.inf
    # What is kept on top of a choice never makes it worse.
    return np.maximum.accumulate(curve[::-1])[::-1]
