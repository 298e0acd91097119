"""Numbers for each image."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

from sartor.errors import DataError
from sartor.tasks._base import Meter, Outputs, Task
from sartor.tasks._divergence import bounded
from sartor.tasks._torchmetrics import Compared, TorchMetric, torch_metric

#: Outputs that are 0 throughout are compared with this.
_SMALLEST = 1e-12


class Regression(Task):
    """Numbers: all outputs, one after the other, against labels of as many numbers.

    The metric is R², the share of the labels' variance that is explained, 1 at best and below 0
    where their mean is the better guess; of several numbers the mean of theirs.

    No augmentation is allowed, since a position, an angle or a count may change with the image. A
    task of your own says what may be: ``Regression(augmentations=("mirror",))``.

    >>> meter = Regression().meter()
    >>> meter.update((torch.tensor([1.0, 2.0, 3.0]),), torch.tensor([1.0, 2.0, 3.0]))
    >>> meter.compute()
    1.0
    """

    name = "regression"
    metric = "R²"

    def __init__(self, augmentations: tuple[Any, ...] = ()) -> None:
        self.augmentations = augmentations

    def require(self, outputs: Outputs, labels: Tensor) -> None:
        """As many numbers in a label as the network gives, and two labels that differ."""
        given = sum(item[0].numel() for item in outputs)
        wanted = labels[0].numel()
        if given != wanted:
            raise DataError(
                f"the network gives {given} numbers, a label has {wanted}; for regression they "
                "must be the same"
            )
        if not bool(labels.float().isfinite().all()):
            raise DataError("labels are NaN or infinite; for regression they must be numbers")

    def divergences(self, candidate: Outputs, original: Outputs) -> Tensor:
        """Squared distance, relative to the mean squared length of the original's outputs.

        The mean is that of the samples that are given together: a single one may be near 0.
        """
        exact = _numbers(original)
        distances = (_numbers(candidate) - exact).square().sum(1)
        length = exact.square().sum(1).mean().clamp_min(_SMALLEST)
        return bounded(distances / length)

    def loss(self, outputs: Outputs, labels: Tensor) -> Tensor:
        """Mean squared error."""
        return F.mse_loss(_numbers(outputs), _per_image(labels))

    def distillation(self, outputs: Outputs, wanted: Outputs, temperature: float) -> Tensor:
        """Mean squared distance: of numbers nothing can be softened."""
        return F.mse_loss(_numbers(outputs), _numbers(wanted))

    def meter(self) -> Meter:
        """R² over all samples; 0 of a single one, of which it is not defined."""
        return _Explained()


class _Explained(TorchMetric):
    def __init__(self) -> None:
        super().__init__(_r2, _compared)
        self._seen = 0

    def update(self, outputs: Outputs, labels: Tensor) -> None:
        self._seen += len(labels)
        super().update(outputs, labels)

    def compute(self) -> float:
        return super().compute() if self._seen > 1 else 0.0


def _r2(_: Tensor) -> Any:
    return torch_metric("regression:R2Score", multioutput="uniform_average")


def _compared(outputs: Outputs, labels: Tensor) -> Compared:
    # What is no number is no guess at all.
    found = _numbers(outputs).nan_to_num(0.0)
    wanted = _per_image(labels)
    if wanted.shape[1] == 1:
        return found[:, 0], wanted[:, 0]
    return found, wanted


def _numbers(outputs: Outputs) -> Tensor:
    """All numbers of each image, (images, numbers)."""
    return torch.cat([_per_image(item) for item in outputs], 1)


def _per_image(items: Tensor) -> Tensor:
    return items.float().reshape(len(items), -1)


REGRESSION = Regression()
