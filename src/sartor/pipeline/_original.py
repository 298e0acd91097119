"""The original network's accuracy, first of all: whether it is what its user thinks it is."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from torch import nn

from sartor.data import Data
from sartor.errors import UsageError
from sartor.machine import Event
from sartor.pipeline._options import SearchOptions
from sartor.pipeline.diagnosis import diagnose, likely_cause
from sartor.scoring import Interval, Score, Scorer, accuracy_interval, mean_interval
from sartor.tasks import Classification, Task, first_batch

#: Of a measure of the user's own, which has no interval, what ``expect`` may be away from it.
_ROUNDING = 0.005
#: Half the width of an interval, above which small differences of accuracy are noise.
_WIDE = 0.05
#: What is right in all of a few images seems surer than what is compared with it will be.
_SURE = 0.9
#: On the way from chance to perfect: below it a network may be wrong, and is looked at closer.
_SUSPICIOUS = 0.5
#: The same: certainly below it, a network is hardly of use.
_USELESS = 0.25
_ANYWAY = "To search all the same: --anyway, or anyway=True in Python"


@dataclass(frozen=True)
class OriginalScore(Event):
    """How good the original is, scored as what is delivered will be.

    Attributes:
        accuracy: In [0, 1], on all validation images, or what ``evaluate`` returned.
        interval: Where it truly lies, at 95 %; None where there are no images.
        chance: What guessing would reach; None where there are no classes.
        reward_accuracy: The same on the images that give the reward, in the form in which
            candidates are scored: what the accuracies of episodes are to be held against.
        warnings: What looks wrong, one sentence each, the most likely cause first.
        remarks: What is to be known of its images, one sentence each.
        metric: What is measured.
        images: How many validation images there are; 0 for a measure of the user's own.
    """

    accuracy: float
    interval: Interval | None = None
    chance: float | None = None
    reward_accuracy: float | None = None
    warnings: tuple[str, ...] = ()
    remarks: tuple[str, ...] = ()
    metric: str = "top-1"
    images: int = 0


def score_original(
    network: nn.Module,
    data: Data | None,
    score: Score,
    scorer: Scorer,
    options: SearchOptions,
    *,
    task: Task,
) -> OriginalScore:
    """What is to be known of the original before it is compressed.

    Args:
        network: The original, traced.
        data: Its images; None where ``evaluate`` scores.
        score: How good it is on all validation images.
        scorer: What will score candidates.
        options: Its ``expect`` and ``anyway`` say what is refused.
        task: What is scored; only of classification it is known what guessing would reach.

    Raises `UsageError` if the accuracy is not the one that is expected, and if images or classes
    are certainly not those of its training. Guessing is a warning.
    """
    if data is None:
        _require_expected(score.accuracy, None, options.expect)
        return OriginalScore(score.accuracy)

    interval = None if score.correct is None else mean_interval(score.correct)
    if interval is None or not isinstance(task, Classification):
        _require_expected_metric(score.accuracy, interval, options.expect, task.metric)
        rewarded = scorer.score(network)
        return OriginalScore(
            score.accuracy,
            interval,
            reward_accuracy=rewarded.accuracy,
            remarks=data.remarks,
            metric=task.metric,
            images=score.images,
        )

    few = data.validation.batch(slice(0, 2))
    scores = first_batch(network, few, "the network", task)[0]
    classes = scores.shape[-1]
    chance = task.top / classes

    suspicious = score.accuracy < _between(chance, _SUSPICIOUS)
    causes = diagnose(network, data, classes, suspicious=suspicious)
    sentences = [cause.sentence for cause in causes]
    _require_expected(score.accuracy, interval, options.expect, sentences)

    answered = f"the original answers {_of_images(score.accuracy, interval)} right"
    is_mistaken = any(cause.certain for cause in causes)
    if is_mistaken:
        mistake = f"{answered}; {sentences[0]}"
        if not options.anyway:
            raise UsageError(f"{mistake}. {_ANYWAY}")
        sentences = [mistake]
    elif _is_guessing(interval, chance):
        # A warning only, for it may be meant, as in a trial.
        why = sentences[0] if sentences else likely_cause(data.validation)
        sentences = [f"{answered}, no better than guessing ({chance:.1%}); {why}"]
    elif suspicious and interval.high < _between(chance, _USELESS):
        sentences = [_poor(score.accuracy, chance, sentences, data)]

    usual = accuracy_interval(min(score.accuracy, _SURE), score.images)
    if usual.half_width > _WIDE:
        sentences.append(_few_images(usual))
    rewarded = scorer.score(network)
    return OriginalScore(
        score.accuracy,
        interval=interval,
        chance=chance,
        reward_accuracy=rewarded.accuracy,
        warnings=tuple(sentences),
        remarks=data.remarks,
        metric=task.metric,
        images=score.images,
    )


def _is_guessing(interval: Interval, chance: float) -> bool:
    """Whether an accuracy is that of guessing, and cannot be of use."""
    # With few images nothing is certain: the upper end says whether it may be of use.
    no_better = interval.low <= chance
    of_no_use = interval.high < _between(chance, _USELESS)
    return no_better and of_no_use


def _poor(accuracy: float, chance: float, sentences: Sequence[str], data: Data) -> str:
    why = sentences[0] if sentences else likely_cause(data.validation)
    return f"{accuracy:.1%} is little better than guessing ({chance:.1%}): {why}"


def _few_images(interval: Interval) -> str:
    """How little a handful of images can tell."""
    points = 100 * interval.half_width
    return (
        f"{interval.images} validation images know an accuracy to ± {points:.0f} points: smaller "
        "differences in what follows are chance; give more images"
    )


def _require_expected(
    accuracy: float,
    interval: Interval | None,
    expected: float | None,
    causes: Sequence[str] = (),
) -> None:
    """Raise `UsageError` if an accuracy cannot be the one that is expected."""
    if expected is None:
        return
    if interval is None:
        is_expected = abs(accuracy - expected) <= _ROUNDING
        found = f"{accuracy:.2%}"
    else:
        is_expected = interval.holds(expected)
        found = _of_images(accuracy, interval)

    if not is_expected:
        why = f"; {causes[0]}" if causes else ""
        raise UsageError(
            f"the original answers {found} right, which excludes the {expected:.2%} that are "
            f"expected{why}"
        )


def _require_expected_metric(
    value: float, interval: Interval | None, expected: float | None, metric: str
) -> None:
    """Raise `UsageError` if a metric other than of classes cannot be what is expected."""
    if expected is None:
        return
    near = abs(value - expected) <= _ROUNDING
    if near or (interval is not None and interval.holds(expected)):
        return
    raise UsageError(
        f"the original has {metric} {value:.2%}, not the {expected:.2%} that are expected"
    )


def _of_images(accuracy: float, interval: Interval) -> str:
    return (
        f"{accuracy:.1%} of {interval.images:,} validation images "
        f"({100 * interval.low:.1f} to {100 * interval.high:.1f})"
    )


def _between(chance: float, share: float) -> float:
    """An accuracy so far on the way from chance to perfect."""
    return chance + share * (1 - chance)
