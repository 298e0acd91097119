"""One class of several for each image."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

from sartor.errors import DataError, UsageError
from sartor.tasks._augmentation import Augmentation
from sartor.tasks._base import Outputs, Task
from sartor.tasks._divergence import divergences
from sartor.tasks._shapes import first_tensor


class Classification(Task):
    """One class of several: class scores (images, classes) against class numbers (images,).

    Of several outputs the first tensor counts, as the others of classifiers are auxiliary.

    Args:
        top: An answer is right if its class is among as many of the largest scores.

    >>> scores = torch.tensor([[2.0, 1.0, 0.0], [0.0, 1.0, 2.0]])
    >>> Classification().hits((scores,), torch.tensor([0, 1]))
    tensor([ True, False])
    >>> Classification(top=2).hits((scores,), torch.tensor([0, 1]))
    tensor([True, True])
    """

    hub_name = "image-classification"
    augmentations: tuple[Augmentation, ...] = ("shift", "mirror", "mix")

    def __init__(self, top: int = 1) -> None:
        self.top = top
        self.name = "classification" if top == 1 else f"classification-top{top}"
        self.metric = f"top-{top}"

    def outputs(self, output: Any) -> Outputs:
        """The class scores: the first tensor, however it is nested."""
        return (first_tensor(output),)

    def require(self, outputs: Outputs, labels: Tensor) -> None:
        """Scores of at least two classes, and labels that are among them."""
        require_classes(outputs[0].shape[1:], labels)

    def divergences(self, candidate: Outputs, original: Outputs) -> Tensor:
        """KL(p_candidate ‖ p_original) in nats (Galen's Ω)."""
        return divergences(candidate[0], original[0])

    def loss(self, outputs: Outputs, labels: Tensor) -> Tensor:
        """Cross-entropy; labels are (images,) classes or (images, classes) shares."""
        return F.cross_entropy(outputs[0], labels)

    def distillation(self, outputs: Outputs, wanted: Outputs, temperature: float) -> Tensor:
        """KL divergence of softened distributions (Hinton et al. 2015)."""
        softened = wanted[0].float().div(temperature)
        expected = softened.softmax(-1)

        found = outputs[0].div(temperature).log_softmax(-1)
        # A mean over images, as that of the cross-entropy is.
        mean = F.kl_div(found, expected, reduction="batchmean")
        # Gradients of softened outputs shrink with the square of the temperature.
        return mean * temperature**2

    def hits(self, outputs: Outputs, labels: Tensor) -> Tensor:
        """Whether the label's score is among the largest; outputs that are no numbers are wrong."""
        scores = outputs[0]
        is_number = scores.isfinite().all(-1)
        if self.top == 1:
            answers = scores.argmax(-1)
            return (answers == labels) & is_number

        count = min(self.top, scores.shape[-1])
        largest = scores.topk(count, dim=-1).indices
        is_among = (largest == labels[:, None]).any(-1)
        return is_among & is_number

    def soft_labels(self, outputs: Outputs, labels: Tensor) -> Tensor:
        """Shares of classes (images, classes)."""
        classes = outputs[0].shape[1]
        chosen = F.one_hot(labels, classes)
        return chosen.float()


def require_classes(shape: torch.Size, labels: Tensor) -> None:
    """Raise `UsageError` for outputs that are no scores of at least two classes.

    Raises `DataError` for labels that are none of these; ``shape`` is without the batch.
    """
    if len(shape) != 1 or shape[0] < 2:
        raise UsageError(
            f"the network's outputs have shape {tuple(shape)}; allowed are scores of at least two "
            "classes, shape (classes,), or another task: task='segmentation' or one of your own, "
            "or anything with a measure of your own: compress(model, evaluate=...)"
        )
    if labels.dim() != 1 or labels.is_floating_point():
        kind = str(labels.dtype).removeprefix("torch.")
        raise DataError(
            f"labels are {kind} of shape {tuple(labels.shape)}; for classification they must be "
            f"one whole number per image, of shape ({len(labels)},)"
        )

    (classes,) = shape
    low = int(labels.min())
    high = int(labels.max())
    if low < 0 or high >= classes:
        raise DataError(
            f"labels range from {low} to {high}; allowed are the network's classes, "
            f"0 to {classes - 1}"
        )


CLASSIFICATION = Classification()
TOP5 = Classification(top=5)
