"""Any number of several labels for each image."""

from __future__ import annotations

from typing import Any

from torch import Tensor
from torch.nn import functional as F

from sartor.errors import DataError, UsageError
from sartor.tasks._augmentation import Augmentation
from sartor.tasks._base import Meter, Outputs, Task
from sartor.tasks._divergence import bounded, yes_or_no_divergences
from sartor.tasks._shapes import first_tensor
from sartor.tasks._torchmetrics import Compared, TorchMetric, torch_metric


class MultiLabel(Task):
    """Yes or no for each of several labels: logits (images, labels) against 0 and 1.

    The metric is the mean average precision over labels, macro AP, which needs no threshold. Of
    several outputs the first tensor counts.

    >>> import torch
    >>> meter = MultiLabel().meter()
    >>> meter.update((torch.tensor([[3.0, -1.0], [-2.0, 2.0]]),), torch.tensor([[1, 0], [0, 1]]))
    >>> meter.compute()
    1.0
    """

    name = "multi-label"
    metric = "macro AP"
    hub_name = "image-classification"
    augmentations: tuple[Augmentation, ...] = ("shift", "mirror", "mix")

    def outputs(self, output: Any) -> Outputs:
        """The logits: the first tensor, however it is nested."""
        return (first_tensor(output),)

    def require(self, outputs: Outputs, labels: Tensor) -> None:
        """One logit per label, and labels that are 0 or 1."""
        shape = tuple(outputs[0].shape[1:])
        if len(shape) != 1 or not shape[0]:
            raise UsageError(
                f"the network's outputs have shape {shape}; for multi-label they must be one logit "
                "per label, (labels,)"
            )
        wanted = tuple(labels.shape[1:])
        if wanted != shape:
            raise DataError(
                f"labels have shape {wanted} each, the network's outputs {shape}; they must be "
                "the same"
            )
        if not bool(((labels == 0) | (labels == 1)).all()):
            low, high = float(labels.min()), float(labels.max())
            raise DataError(f"labels range from {low:g} to {high:g}; for multi-label they are 0, 1")

    def divergences(self, candidate: Outputs, original: Outputs) -> Tensor:
        """KL(candidate ‖ original) of all answers together, in nats."""
        answers = yes_or_no_divergences(candidate[0], original[0])
        return bounded(answers.sum(1))

    def loss(self, outputs: Outputs, labels: Tensor) -> Tensor:
        """Binary cross-entropy, the mean over labels."""
        return F.binary_cross_entropy_with_logits(outputs[0], labels.float())

    def distillation(self, outputs: Outputs, wanted: Outputs, temperature: float) -> Tensor:
        """KL divergence of softened answers, the mean over labels."""
        softened = wanted[0].float().div(temperature)
        found = outputs[0].div(temperature)
        answers = yes_or_no_divergences(softened, found)
        return answers.mean() * temperature**2

    def meter(self) -> Meter:
        """Macro average precision."""
        return TorchMetric(_average_precision, _compared)

    def soft_labels(self, outputs: Outputs, labels: Tensor) -> Tensor:
        """Labels as numbers, (images, labels)."""
        return labels.float()


def _average_precision(found: Tensor) -> Any:
    count = found.shape[1]
    return torch_metric(
        "classification:MultilabelAveragePrecision", num_labels=count, average="macro"
    )


def _compared(outputs: Outputs, labels: Tensor) -> Compared:
    # Probabilities: of logits it would take only those beyond 1 for logits.
    scores = outputs[0].float().sigmoid()
    return scores.nan_to_num(0.0), labels.long()


MULTI_LABEL = MultiLabel()
