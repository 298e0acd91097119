"""What is likely wrong with a network, by trying."""

from __future__ import annotations

from torch import nn

from sartor.data import Data, Images
from sartor.pipeline.diagnosis._cause import Cause, answers
from sartor.pipeline.diagnosis._class_order import few_classes, other_order
from sartor.pipeline.diagnosis._normalisation import normalisation_words, other_normalisation
from sartor.pipeline.diagnosis._training import fresh_weights, random_answers, wrong_statistics

#: Images on which orders of classes are tried.
_COUNT = 2000


def diagnose(network: nn.Module, data: Data, classes: int, *, suspicious: bool) -> list[Cause]:
    """What may be wrong with a network, the most likely first.

    What costs more than a moment is tried only where its accuracy is ``suspicious``, or where
    images are not normalised.
    """
    images = data.validation
    found: list[Cause | None] = []
    if suspicious or not images.mean:
        found.append(other_normalisation(network, images))
    if suspicious:
        found += _further(network, images, classes, data.classes)

    inputs = images.slice(0, 2).normalized()
    found.append(random_answers(network, inputs))

    causes = [cause for cause in found if cause is not None]
    # What was tried is more than a guess; among equals the order stays.
    causes.sort(key=lambda cause: (not cause.certain, -cause.right))
    return causes


def _further(
    network: nn.Module, images: Images, classes: int, names: tuple[str, ...]
) -> list[Cause | None]:
    few = images.slice(0, _COUNT)
    inputs = few.normalized()
    answered = answers(network, inputs)
    return [
        fresh_weights(network),
        other_order(answered, few.labels, classes, names),
        few_classes(few.labels, classes, names),
        wrong_statistics(network, inputs, few.labels),
    ]


def likely_cause(images: Images) -> str:
    """What to look at first where nothing that was tried helps."""
    return (
        f"likely its images are not prepared as in training ({normalisation_words(images)}), else "
        "its weights are not the trained ones or its classes are in another order"
    )
