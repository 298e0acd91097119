"""Epoch after epoch: train, measure, keep the best, go on after an interruption."""

from __future__ import annotations

import dataclasses
import math
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import fx, nn

from sartor.compression.modules import trainable_copy
from sartor.data import Images
from sartor.errors import RunError
from sartor.finetune import _checkpoint
from sartor.finetune._options import FinetuneOptions
from sartor.finetune._soup import Soup, Tensors
from sartor.finetune._training import Training
from sartor.machine import choose_device, digest, is_main
from sartor.policy import Policy
from sartor.scoring import ImageScorer
from sartor.tasks import CLASSIFICATION, Task


@dataclass(frozen=True)
class Epoch:
    """One pass over the training images.

    Attributes:
        number: From 0.
        loss: Mean over the steps.
        validation: The metric of the task after this epoch on the validation images, at most 1.
        best: That of what would be delivered if training ended here.
        seconds: What training and measuring took.
    """

    number: int
    loss: float
    validation: float
    best: float
    seconds: float


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
    before = scorer.score(candidate).accuracy

    # The candidate is what is best before the first epoch, so nothing worse is delivered.
    first = Soup(training.tensors(), members=(0,), accuracy=before)
    progress = _Progress(training, scorer, first, epochs=[])

    facts = {
        "options": dataclasses.asdict(options),
        "candidate": _identity(candidate, teacher),
    }

    if checkpoint is not None and checkpoint.exists():
        progress.read(checkpoint, facts)

    for number in range(len(progress.epochs), options.epochs):
        progress.train(number)
        # All processes hold the same, and share one file.
        if checkpoint is not None and is_main():
            progress.write(checkpoint, facts)
        on_epoch(progress.epochs[-1])

    return progress.finetuned(candidate, before)


@dataclass(eq=False)
class _Progress:
    """A training, the epochs that are behind, and the best of them."""

    training: Training
    scorer: ImageScorer
    soup: Soup
    epochs: list[Epoch]

    def train(self, number: int) -> None:
        """One more epoch. Raises `RunError` if it diverges."""
        started = time.perf_counter()
        loss = self.training.epoch(number)
        if not math.isfinite(loss):
            rate = f"{self.training.rate.largest:g}"
            raise RunError(
                f"the loss is {loss} in epoch {number + 1}; the learning rate, {rate}, is too high"
            )

        tensors = self.training.tensors()
        self.soup, alone = self.soup.best_with(tensors, number + 1, self._accuracy)
        seconds = time.perf_counter() - started

        epoch = Epoch(
            number=number,
            loss=loss,
            validation=alone.accuracy,
            best=self.soup.accuracy,
            seconds=seconds,
        )
        self.epochs.append(epoch)

    def finetuned(self, candidate: fx.GraphModule, before: float) -> Finetuned:
        """What is delivered: the best so far."""
        soup = self.soup
        if soup.members == (0,):
            # As it was given: a quantized one would be unfolded and folded again.
            model = trainable_copy(candidate)
        else:
            model = self.training.network(soup.tensors)

        return Finetuned(
            model=model,
            before=before,
            validation=soup.accuracy,
            members=soup.members,
            epochs=self.epochs,
        )

    def write(self, path: Path, facts: dict[str, Any]) -> None:
        """Leave a checkpoint."""
        progress = {
            "epochs": [dataclasses.asdict(epoch) for epoch in self.epochs],
            "members": self.soup.members,
            "best": self.soup.accuracy,
        }

        parts = {**self.training.state(), "soup": self.soup.tensors}
        stored = {**facts, **progress}
        _checkpoint.write(path, parts, stored)

    def read(self, path: Path, facts: dict[str, Any]) -> None:
        """Go on from a checkpoint. Raises `RunError` for that of another training."""
        parts, stored = _checkpoint.read(path)
        _require_same(stored["options"], facts["options"], path)

        # Options first: that they differ is easier to see than that weights do.
        if stored["candidate"] != facts["candidate"]:
            raise RunError(
                f"{path} belongs to another candidate or teacher; remove it to train this one"
            )

        self.epochs = [Epoch(**entry) for entry in stored["epochs"]]
        self.training.restore(parts, epochs=len(self.epochs))
        self.soup = Soup(
            tensors=parts["soup"],
            members=tuple(stored["members"]),
            accuracy=stored["best"],
        )

    def _accuracy(self, tensors: Tensors) -> float:
        network = self.training.network(tensors)
        return self.scorer.score(network).accuracy


def _identity(candidate: nn.Module, teacher: nn.Module | None) -> list[str]:
    """By what a checkpoint knows which training it belongs to."""
    of_teacher = "" if teacher is None else digest(teacher.state_dict())
    of_candidate = digest(candidate.state_dict())
    return [of_candidate, of_teacher]


def _require_same(stored: dict[str, Any], options: dict[str, Any], path: Path) -> None:
    for name, value in options.items():
        theirs = stored.get(name)
        # JSON has no tuples.
        mine = list(value) if isinstance(value, tuple) else value
        if theirs != mine:
            raise RunError(
                f"{path} was made with {name} {theirs}, not {mine}; "
                "use the same options or remove it"
            )
