"""Metrics of torchmetrics as meters."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from typing import Any

from torch import Tensor

from sartor.machine import require
from sartor.tasks._base import Outputs

#: Scores or classes, and what they are compared with.
Compared = tuple[Tensor, Tensor]


class TorchMetric:
    """A metric of torchmetrics; how many classes it is of, the first outputs tell.

    Args:
        make: The metric, for what is found like that which is given first.
        compared: What it compares, of outputs and labels.
    """

    def __init__(
        self,
        make: Callable[[Tensor], Any],
        compared: Callable[[Outputs, Tensor], Compared],
    ) -> None:
        self._make = make
        self._compared = compared
        self._metric: Any = None

    def update(self, outputs: Outputs, labels: Tensor) -> None:
        """Take in some samples."""
        found, wanted = self._compared(outputs, labels)
        if self._metric is None:
            self._metric = self._make(found)
        self._metric.update(found.cpu(), wanted.cpu())

    def compute(self) -> float:
        """The metric of all samples taken in so far."""
        with warnings.catch_warnings():
            # Classes that some samples lack are left out of means, which it says each time.
            warnings.simplefilter("ignore")
            return float(self._metric.compute())


def torch_metric(place: str, **options: Any) -> Any:
    """A metric by its ``module:Class`` in torchmetrics.

    Raises `MissingPackageError` with the line that installs it.

    >>> torch_metric("regression:R2Score").higher_is_better
    True
    """
    module, _, name = place.partition(":")
    found = require(f"torchmetrics.{module}", extra="tasks")
    return getattr(found, name)(**options)
