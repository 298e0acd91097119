"""Training on labelled images; what does best on the validation images is delivered."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import fx, nn

from sartor.compression.modules import trainable_copy
from sartor.data import Images
from sartor.finetune._course import Course, Epoch
from sartor.finetune._options import FinetuneOptions
from sartor.finetune._rate_test import found_rate
from sartor.finetune._training import Training
from sartor.machine import choose_device
from sartor.policy import Policy
from sartor.scoring import ImageScorer
from sartor.tasks import CLASSIFICATION, Task


@dataclass(frozen=True, eq=False)
class Finetuned:
    """The best on the validation images: an epoch, the mean of several, or the candidate.

    Attributes:
        model: The network.
        before: The metric of the task of the candidate on the validation images, at most 1.
        validation: That of the network.
        members: The epochs, from 1, whose mean it is; 0 is the candidate.
        epochs: All epochs.
    """

    model: fx.GraphModule
    before: float
    validation: float
    members: tuple[int, ...] = (0,)
    epochs: list[Epoch] = dataclasses.field(default_factory=list)


def finetune(
    candidate: fx.GraphModule,
    train: Images,
    validation: Images,
    *,
    policy: Policy | None = None,
    teacher: nn.Module | None = None,
    options: FinetuneOptions | None = None,
    task: Task = CLASSIFICATION,
    device: str = "auto",
    checkpoint: Path | None = None,
    on_epoch: Callable[[Epoch], None] = lambda epoch: None,
) -> Finetuned:
    """Train a candidate; where it rounds, gradients reach its real weights.

    Single weights that ``policy``, by which the candidate was made, has pruned stay pruned: in its
    layers, what is zero now. With a ``teacher``, usually the original, its outputs are learned from
    too. Every epoch is measured alone and averaged with those before (`Soup`); the best of all is
    delivered, on the CPU. ``candidate`` is on the CPU too and is not changed; it is trained and
    measured on the ``device``.

    With ``checkpoint``, an interrupted training goes on after the last whole epoch, and ends where
    an uninterrupted one would, with as many processes and threads as before.

    Raises `RunError` for a checkpoint of another candidate or other options and for a loss that is
    not finite, `DataError` for an empty data set and labels that do not suit the task, `UsageError`
    for outputs that do not, for a teacher with outputs of another shape, and for a device that is
    not there.

    >>> from sartor import data, demo
    >>> from sartor.graph import trace
    >>> images = data.load("digits", calibration=128)
    >>> network = trace(demo.DigitsNet(), images.calibration.normalized()[:1]).module
    >>> options = FinetuneOptions(epochs=2, batch=64)
    >>> tuned = finetune(network, images.calibration, images.validation, options=options)
    >>> len(tuned.epochs)
    2
    """
    options = options or FinetuneOptions()
    where = choose_device(device)
    training = Training.begin(
        candidate,
        train,
        teacher,
        options,
        policy=policy,
        task=task,
        device=where,
    )
    scorer = ImageScorer(validation, task=task, dtype=torch.float32, device=where)
    course = Course.begin(
        training,
        candidate,
        teacher,
        lambda network: scorer.score(network).accuracy,
    )
    before = course.soup.quality
    if checkpoint is not None and checkpoint.exists():
        course.read(checkpoint)
    elif options.learning_rate is None and options.optimizer == "adam":
        training.learn_at(found_rate(training))

    course.run(checkpoint, on_epoch=on_epoch)
    return Finetuned(
        model=course.network() or trainable_copy(candidate),
        before=before,
        validation=course.soup.quality,
        members=course.soup.members,
        epochs=course.epochs,
    )
