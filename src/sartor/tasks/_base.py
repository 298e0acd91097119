"""The contract of tasks."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Any, Protocol

import torch
from torch import Tensor

from sartor.errors import UsageError
from sartor.graph import tensors_in
from sartor.tasks._augmentation import Augmentation
from sartor.tasks._divergence import bounded

#: What a network gives for some samples: one tensor or several, samples first in each.
Outputs = tuple[Tensor, ...]

#: Distances are relative to the original's outputs; those of length 0 are compared with this.
_SHORTEST = 1e-6


class Meter(Protocol):
    """Gathers what a metric needs, batch by batch, as the metrics of torchmetrics do.

    What it is given is on the CPU.
    """

    def update(self, outputs: Outputs, labels: Tensor) -> None:
        """Take in some samples."""
        ...

    def compute(self) -> float:
        """The metric of all samples taken in so far."""
        ...


class Task(ABC):
    """What a network is for.

    A subclass says what is minimised in training (`loss`) and how good outputs are: sample by
    sample (`hits`), or, where the metric is no mean over samples, all together (`meter`). The rest
    has defaults that suit any tensors.

    Metrics are such that larger is better and 1 is perfect. Outputs and labels are on one device,
    which may be a GPU: what is made beside them belongs there too.

    >>> class Depth(Task):
    ...     name = "depth"
    ...     metric = "pixels within a tenth"
    ...
    ...     def loss(self, outputs, labels):
    ...         return (outputs[0] - labels).abs().mean()
    ...
    ...     def hits(self, outputs, labels):
    ...         near = (outputs[0] - labels).abs() < 0.1
    ...         return near.float().flatten(1).mean(1)
    >>> Depth().hits((torch.zeros(2, 4, 4),), torch.zeros(2, 4, 4))
    tensor([1., 1.])
    """

    #: What it is called: a name of `TASKS`, or of your own.
    name: str
    #: What the metric is called.
    metric: str
    #: What model hubs call such networks; empty where they have no word for it.
    hub_name: str = ""
    #: Changes to training images that labels can follow; training may make no others.
    augmentations: tuple[Augmentation, ...] = ()
    #: Whether labels are the original's own outputs, so that those of the data do not count.
    labelled_by_original: bool = False

    def outputs(self, output: Any) -> Outputs:
        """The tensors that count of what a network returns: all with floating-point numbers.

        Raises `UsageError` for an output without one.
        """
        found = tensors_in(output)
        if not found:
            raise UsageError(
                f"the network returns {type(output).__name__} without a tensor of floating-point "
                "numbers; allowed are tensors, or tuples, lists, dicts and dataclasses of them"
            )
        return tuple(found)

    def require(self, outputs: Outputs, labels: Tensor) -> None:
        """Raise `UsageError` for outputs, and `DataError` for labels, that are not of this task.

        ``outputs`` are those of one sample or several, ``labels`` those of a data set.
        """

    def divergences(self, candidate: Outputs, original: Outputs) -> Tensor:
        """How far outputs are from the original's, (samples,): 0 where equal, at most 100.

        By default the squared distance relative to the squared length, the mean of all outputs.
        """
        found = []
        for mine, theirs in zip(candidate, original, strict=True):
            exact = theirs.float().flatten(1)
            distance = (mine.float().flatten(1) - exact).square().sum(1)
            length = exact.square().sum(1).clamp_min(_SHORTEST)
            found.append(distance / length)

        return bounded(torch.stack(found).mean(0))

    @abstractmethod
    def loss(self, outputs: Outputs, labels: Tensor) -> Tensor:
        """What training minimises: a mean over samples, ()."""

    def distillation(self, outputs: Outputs, wanted: Outputs, temperature: float) -> Tensor:
        """What is minimised to answer as a teacher does, (); ``wanted`` are its outputs.

        By default the mean divergence; tasks with class scores soften both by ``temperature``.
        """
        return self.divergences(outputs, wanted).mean()

    def hits(self, outputs: Outputs, labels: Tensor) -> Tensor | None:
        """How good each answer is, (samples,), bool or in [0, 1]; the metric is their mean.

        None where the metric is no mean over samples; then there is a `meter`.
        """
        return None

    def meter(self) -> Meter:
        """A new meter of the metric; by default the mean of `hits`."""
        return _MeanOfHits(self)

    def soft_labels(self, outputs: Outputs, labels: Tensor) -> Tensor:
        """Labels that can be averaged, as augmentation by mixing needs them, (samples, …).

        Raises `UsageError` where labels of this task cannot be.
        """
        raise UsageError(
            f"augment has mix, which averages labels; those of the task {self.name} cannot be"
        )

    def mirrored(self, labels: Tensor, width: int) -> Tensor:
        """Labels of images that were turned from left to right; ``width`` in pixels.

        By default the same, as a class does not move.
        """
        return labels

    def shifted(self, labels: Tensor, down: Tensor, right: Tensor, size: tuple[int, int]) -> Tensor:
        """Labels of images that were moved by some pixels, (images,) each.

        What moves out of the images, height × width in ``size``, is gone. By default the same.
        """
        return labels


class _MeanOfHits:
    def __init__(self, task: Task) -> None:
        self._task = task
        self._hits: list[Tensor] = []

    def update(self, outputs: Outputs, labels: Tensor) -> None:
        hits = self._task.hits(outputs, labels)
        if hits is None:
            raise UsageError(
                f"the task {self._task.name} has no metric: it must have hits or a meter of its own"
            )
        self._hits.append(hits)

    def compute(self) -> float:
        hits = torch.cat(self._hits)
        return float(hits.float().mean())
