"""Epoch after epoch: train, measure, keep the best, stand where it was after an interruption."""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import fx, nn

from sartor.compression.modules import trainable_copy
from sartor.data import Images
from sartor.errors import RunError
from sartor.finetune import _checkpoint
from sartor.finetune._options import FinetuneOptions
from sartor.finetune._soup import Soup
from sartor.finetune._training import Training
from sartor.machine import digest, is_main
from sartor.policy import Policy
from sartor.scoring import ImageScorer


@dataclass(frozen=True)
class Epoch:
    """One pass over the training images: mean loss, and accuracy on the validation images.

    ``validation`` is that of the network after this epoch, ``best`` of what would be delivered if training ended here.
    """

    number: int
    loss: float
    validation: float
    best: float
    seconds: float


@dataclass(frozen=True, eq=False)
class Finetuned:
    """The best on the validation images: an epoch, the mean of several, or the candidate, whose accuracy there is ``before``.

    ``members`` are the epochs, from 1, whose mean it is; 0 is the candidate.
    """

    model: fx.GraphModule
    before: float
    validation: float
    members: tuple[int, ...] = (0,)
    epochs: list[Epoch] = field(default_factory=list)


def finetune(
    candidate: fx.GraphModule,
    train: Images,
    validation: Images,
    *,
    policy: Policy | None = None,
    teacher: nn.Module | None = None,
    options: FinetuneOptions | None = None,
    checkpoint: Path | None = None,
    on_epoch: Callable[[Epoch], None] = lambda epoch: None,
) -> Finetuned:
    """Train a candidate; where it rounds, gradients reach its real weights. Single weights that ``policy``, by which it was made,
    has pruned stay pruned: in its layers, what is zero now.

    With a ``teacher``, usually the original, its outputs are learned from too. With ``checkpoint``, an interrupted training goes
    on after the last whole epoch, and ends where an uninterrupted one would, with as many processes and threads as before.
    Every epoch is measured alone and averaged with those before (`Soup`); the best of all is delivered.
    ``candidate`` is not changed.

    Raises `RunError` for a checkpoint of another candidate or other options and for a loss that is not finite, `DataError` for
    an empty data set and labels that are no classes of the network, `UsageError` for outputs that are no scores of classes and
    for a teacher with outputs of another shape.
    """
    options = options or FinetuneOptions()
    training = Training(candidate, train, teacher, options, policy)
    identity = [
        digest(candidate.state_dict()),
        digest(teacher.state_dict()) if teacher is not None else "",
    ]
    scorer = ImageScorer(validation, dtype=torch.float32)
    before = scorer.score(candidate).accuracy
    soup = Soup(training.tensors(), (0,), before)
    epochs: list[Epoch] = []
    if checkpoint is not None and checkpoint.exists():
        parts, facts = _checkpoint.read(checkpoint)
        _require_same(facts["options"], options, checkpoint)
        if facts["candidate"] != identity:
            raise RunError(
                f"{checkpoint} belongs to another candidate or teacher; remove it to train this one"
            )
        epochs = [Epoch(**entry) for entry in facts["epochs"]]
        training.restore(parts, epochs=len(epochs))
        soup = Soup(parts["soup"], tuple(facts["members"]), facts["best"])
    for number in range(len(epochs), options.epochs):
        started = time.perf_counter()
        loss = training.epoch(number)
        if not math.isfinite(loss):
            raise RunError(
                f"the loss is {loss} in epoch {number + 1}; the learning rate, {training.rate:g}, is too high"
            )
        soup, alone = soup.best_with(
            training.tensors(),
            number + 1,
            lambda tensors: scorer.score(training.network(tensors)).accuracy,
        )
        epochs.append(
            Epoch(number, loss, alone.accuracy, soup.accuracy, time.perf_counter() - started)
        )
        if checkpoint is not None and is_main():
            facts = {
                "options": asdict(options),
                "candidate": identity,
                "epochs": [asdict(epoch) for epoch in epochs],
                "members": soup.members,
                "best": soup.accuracy,
            }
            _checkpoint.write(checkpoint, {**training.state(), "soup": soup.tensors}, facts)
        on_epoch(epochs[-1])
    result = trainable_copy(candidate) if soup.members == (0,) else training.network(soup.tensors)
    return Finetuned(result, before, soup.accuracy, soup.members, epochs)


def _require_same(stored: dict[str, Any], options: FinetuneOptions, path: Path) -> None:
    mine = {
        name: list(value) if isinstance(value, tuple) else value
        for name, value in asdict(options).items()
    }
    for name, value in mine.items():
        if stored.get(name) != value:
            raise RunError(
                f"{path} was made with {name} {stored.get(name)}, not {value}; use the same options or remove it"
            )
