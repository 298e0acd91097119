"""The learning rate that a network learns fastest at: found by trying a few."""

from __future__ import annotations

import math
import statistics

from sartor.finetune._options import Optimizer
from sartor.finetune._training import Training

#: Steps of each trial, at least and at most; the second half of them is compared.
_STEPS = (4, 12)
#: A trial has so many steps of the training's: all trials together a seventh of these.
_SHARE = 1 / 40
#: What is tried, in this order, until larger ones only make it worse.
_RATES: dict[Optimizer, tuple[float, ...]] = {
    "adam": (0.00001, 0.00003, 0.0001, 0.0003, 0.001, 0.003, 0.01, 0.03),
    "sgd": (0.0003, 0.001, 0.003, 0.01, 0.03, 0.1),
}
#: What pays most after a few steps is too careful for many, whose rate falls towards the end.
_LONGER = 3.0
#: A loss that is larger by this factor than the least so far will not come back.
_WORSE = 1.5


def found_rate(training: Training) -> float:
    """Three times the rate after a few steps of which the loss is least; the training is as it was.

    All rates are tried on the same images from the same weights, which tells them apart by far
    fewer steps than a rate that rises along the way (Smith 2017) needs.
    """
    start = training.snapshot()
    least_steps, most_steps = _STEPS
    steps = max(least_steps, min(most_steps, round(training.rate.steps * _SHARE)))
    least = math.inf
    best = _RATES[training.options.optimizer][0]
    for rate in _RATES[training.options.optimizer]:
        losses = training.trial(rate, steps)
        training.restore(start, epochs=0)

        loss = statistics.fmean(losses[steps // 2 :])
        if loss < least:
            least = loss
            best = rate
        # Turned round, because NaN is not larger than anything.
        elif not loss < least * _WORSE:
            break
    return best * _LONGER
