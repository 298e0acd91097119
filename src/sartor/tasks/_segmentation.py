"""One class of several for each pixel."""

from __future__ import annotations

from typing import Any

from torch import Tensor
from torch.nn import functional as F

from sartor.errors import DataError, UsageError
from sartor.tasks._augmentation import Augmentation
from sartor.tasks._base import Meter, Outputs, Task
from sartor.tasks._divergence import divergences
from sartor.tasks._moving import shifted_maps
from sartor.tasks._shapes import first_tensor
from sartor.tasks._torchmetrics import Compared, TorchMetric, torch_metric

#: Classes lie on the second axis of class scores (images, classes, height, width).
_CLASSES = 1


class Segmentation(Task):
    """A class for each pixel: class scores (images, classes, h, w) against (images, height, width).

    The metric is the mean intersection over union of all classes, mIoU. Scores that are smaller
    than the labels are enlarged. Of several outputs the first tensor counts, as the others are
    auxiliary.

    Args:
        ignored: The label of pixels that do not count.

    >>> import torch
    >>> scores = torch.tensor([[2.0, 0.0, 0.0], [0.0, 1.0, 1.0]]).view(1, 2, 1, 3)
    >>> meter = Segmentation().meter()
    >>> meter.update((scores,), torch.tensor([[[0, 1, 255]]]))
    >>> meter.compute()
    1.0
    """

    name = "segmentation"
    metric = "mIoU"
    hub_name = "image-segmentation"
    augmentations: tuple[Augmentation, ...] = ("shift", "mirror")

    def __init__(self, ignored: int = 255) -> None:
        self.ignored = ignored

    def outputs(self, output: Any) -> Outputs:
        """The class scores: the first tensor, however it is nested."""
        return (first_tensor(output),)

    def require(self, outputs: Outputs, labels: Tensor) -> None:
        """Scores of at least two classes for pixels, and labels that are among them."""
        shape = tuple(outputs[0].shape[1:])
        if len(shape) != 3 or shape[0] < 2:
            raise UsageError(
                f"the network's outputs have shape {shape}; for segmentation they must be scores "
                "of at least two classes for each pixel, (classes, height, width)"
            )
        if labels.dim() != 3 or labels.is_floating_point():
            kind = str(labels.dtype).removeprefix("torch.")
            raise DataError(
                f"labels are {kind} of shape {tuple(labels.shape[1:])} each; for segmentation they "
                "must be one whole number per pixel, (height, width)"
            )

        counted = labels[labels != self.ignored]
        if not len(counted):
            raise DataError(f"all pixels are labelled {self.ignored}, which is left out")
        low, high = int(counted.min()), int(counted.max())
        if low < 0 or high >= shape[0]:
            raise DataError(
                f"labels range from {low} to {high}; allowed are the network's classes, 0 to "
                f"{shape[0] - 1}, and {self.ignored} for pixels that do not count"
            )

    def divergences(self, candidate: Outputs, original: Outputs) -> Tensor:
        """KL(p_candidate ‖ p_original) in nats, the mean over pixels."""
        pixels = divergences(candidate[0], original[0], _CLASSES)
        return pixels.flatten(1).mean(1)

    def loss(self, outputs: Outputs, labels: Tensor) -> Tensor:
        """Cross-entropy, the mean over pixels that count."""
        return F.cross_entropy(_enlarged(outputs[0], labels), labels, ignore_index=self.ignored)

    def distillation(self, outputs: Outputs, wanted: Outputs, temperature: float) -> Tensor:
        """KL divergence of softened distributions, the mean over pixels."""
        expected = wanted[0].float().div(temperature).softmax(_CLASSES)
        found = outputs[0].div(temperature).log_softmax(_CLASSES)
        pixels = F.kl_div(found, expected, reduction="none").sum(_CLASSES)
        return pixels.mean() * temperature**2

    def meter(self) -> Meter:
        """MIoU over the pixels of all images together."""
        return TorchMetric(self._union, _compared)

    def _union(self, found: Tensor) -> Any:
        return torch_metric(
            "classification:MulticlassJaccardIndex",
            num_classes=found.shape[_CLASSES],
            ignore_index=self.ignored,
        )

    def mirrored(self, labels: Tensor, width: int) -> Tensor:
        """Maps turned from left to right."""
        return labels.flip(-1)

    def shifted(self, labels: Tensor, down: Tensor, right: Tensor, size: tuple[int, int]) -> Tensor:
        """Maps moved alike; what comes in from outside does not count."""
        if tuple(labels.shape[1:]) != size:
            raise UsageError(
                f"labels have shape {tuple(labels.shape[1:])}, images {size}: they cannot be "
                "shifted together; leave shift out of augment"
            )
        return shifted_maps(labels, down, right, outside=self.ignored)


def _compared(outputs: Outputs, labels: Tensor) -> Compared:
    scores = _enlarged(outputs[0].float(), labels)
    return scores.nan_to_num(0.0), labels


def _enlarged(scores: Tensor, labels: Tensor) -> Tensor:
    size = labels.shape[1:]
    if scores.shape[2:] == size:
        return scores
    return F.interpolate(scores, size=tuple(size), mode="bilinear", align_corners=False)


SEGMENTATION = Segmentation()
