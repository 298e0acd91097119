"""Epoch after epoch of one training: what is best so far, and how it goes on after a kill."""

from __future__ import annotations

import dataclasses
import itertools
import math
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from torch import fx, nn

from sartor.errors import RunError
from sartor.finetune import _checkpoint
from sartor.finetune._soup import Soup, Tensors
from sartor.finetune._training import Training
from sartor.machine import digest, is_main

#: How good a network is, larger is better.
Quality = Callable[[fx.GraphModule], float]


@dataclass(frozen=True)
class Epoch:
    """One pass over the training images, or as many steps as an epoch was told to have.

    Attributes:
        number: From 0.
        loss: Mean over the steps.
        validation: How good the network is after this epoch: by the metric of the task on the
            validation images, at most 1.
        best: That of what would be delivered if training ended here.
        seconds: What training and measuring took.
    """

    number: int
    loss: float
    validation: float
    best: float
    seconds: float


@dataclass(eq=False)
class Course:
    """A training, the epochs that are behind, and the best of them.

    Attributes:
        training: Of the candidate.
        quality: By what the best is known.
        soup: The best so far.
        facts: What the training depends on; a checkpoint of others is refused.
        epochs: That are behind.
    """

    training: Training
    quality: Quality
    soup: Soup
    facts: dict[str, Any]
    epochs: list[Epoch] = field(default_factory=list)

    @classmethod
    def begin(
        cls,
        training: Training,
        candidate: fx.GraphModule,
        teacher: nn.Module | None,
        quality: Quality,
    ) -> Course:
        """Before the first epoch, the candidate is what is best: nothing worse is delivered."""
        first = Soup(training.tensors(), members=(0,), quality=quality(candidate))
        facts = {
            "options": dataclasses.asdict(training.options),
            "candidate": _identity(candidate, teacher),
        }
        return cls(training, quality, first, facts)

    def run(
        self,
        checkpoint: Path | None,
        *,
        patience: int | None = None,
        on_epoch: Callable[[Epoch], None] = lambda epoch: None,
    ) -> None:
        """Train all epochs that are left, or until ``patience`` in a row were each worse.

        Worse than the one before: the first may well be worse than what training began with, while
        the rate is high. Raises `RunError` if it diverges.
        """
        for number in range(len(self.epochs), self.training.options.epochs):
            if patience is not None and self._worse_in_a_row >= patience:
                return
            self._train(number)
            # All processes hold the same, and share one file.
            if checkpoint is not None and is_main():
                self.write(checkpoint)
            on_epoch(self.epochs[-1])

    def network(self) -> fx.GraphModule | None:
        """The best network; None if that is the candidate as it was given."""
        # A quantized one would be unfolded and folded again.
        if self.soup.members == (0,):
            return None
        return self.training.network(self.soup.tensors)

    def write(self, path: Path) -> None:
        """Leave a checkpoint."""
        progress = {
            "epochs": [dataclasses.asdict(epoch) for epoch in self.epochs],
            "members": self.soup.members,
            "best": self.soup.quality,
            "rate": self.training.rate.largest,
        }
        parts = {**self.training.state(), "soup": self.soup.tensors}
        _checkpoint.write(path, parts, {**self.facts, **progress})

    def read(self, path: Path) -> None:
        """Go on from a checkpoint. Raises `RunError` for that of another training."""
        parts, stored = _checkpoint.read(path)
        _require_same(stored["options"], self.facts["options"], path)

        # Options first: that they differ is easier to see than that weights do.
        if stored["candidate"] != self.facts["candidate"]:
            raise RunError(
                f"{path} belongs to another candidate or teacher; remove it to train this one"
            )

        self.epochs = [Epoch(**entry) for entry in stored["epochs"]]
        self.training.learn_at(stored["rate"])
        self.training.restore(parts, epochs=len(self.epochs))
        self.soup = Soup(
            tensors=parts["soup"],
            members=tuple(stored["members"]),
            quality=stored["best"],
        )

    @property
    def _worse_in_a_row(self) -> int:
        """How many of the last epochs were each worse than the one before."""
        count = 0
        for before, after in itertools.pairwise(self.epochs):
            count = count + 1 if after.validation < before.validation else 0
        return count

    def _train(self, number: int) -> None:
        started = time.perf_counter()
        loss = self.training.epoch(number)
        if not math.isfinite(loss):
            rate = f"{self.training.rate.largest:g}"
            raise RunError(
                f"the loss is {loss} in epoch {number + 1}; the learning rate, {rate}, is too high"
            )

        tensors = self.training.tensors()
        self.soup, alone = self.soup.best_with(tensors, number + 1, self._quality_of)
        seconds = time.perf_counter() - started

        epoch = Epoch(
            number=number,
            loss=loss,
            validation=alone.quality,
            best=self.soup.quality,
            seconds=seconds,
        )
        self.epochs.append(epoch)

    def _quality_of(self, tensors: Tensors) -> float:
        return self.quality(self.training.network(tensors))


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
