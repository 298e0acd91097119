"""Boxes around objects of several classes."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

from sartor.errors import DataError, UsageError
from sartor.tasks._augmentation import Augmentation
from sartor.tasks._average_precision import AveragePrecision, Detections
from sartor.tasks._base import Meter, Outputs, Task
from sartor.tasks._centres import BOX, Centres, box_loss, focal_loss
from sartor.tasks._divergence import bounded, yes_or_no_divergences
from sartor.tasks._shapes import first_tensor

#: Numbers of a label: corners x1, y1, x2, y2 in pixels, class.
_LABEL = 5
#: Of a class, where a label is no box.
_NO_BOX = -1.0
#: Logits and logarithms of sizes beyond which nothing changes.
_FAR = 20.0


class Detection(Task):
    """Objects as points (CenterNet, Zhou et al. 2019): one dense map (images, classes + 4, h, w).

    Its first channels are logits of the centres of objects by class, the last four where in its
    cell a centre lies, from 0 to 1 to the right and down, and the logarithms of width and height
    relative to ``size``. Labels are (images, boxes, 5): corners x1, y1, x2, y2 in pixels and the
    class; −1 for rows without a box. The metric is COCO's mAP@[.5:.95]. Of several outputs the
    first tensor counts.

    For another head inherit, and write `decode` and `loss`; `divergences` compares its maps.

    Args:
        stride: Pixels of a cell of the map.
        size: The side in pixels of boxes whose logarithms are 0.
        most: Detections that count in an image.

    >>> task = Detection(stride=4, size=8)
    >>> maps = torch.full((1, 5, 2, 2), -9.0)
    >>> maps[0, :, 1, 0] = torch.tensor([9.0, 0.5, 0.5, 0.0, 0.0])  # around x = 2, y = 6
    >>> found = task.decode((maps,))
    >>> found.boxes[0, 0], found.classes[0, 0]
    (tensor([-2.,  2.,  6., 10.]), tensor(0))
    """

    name = "detection"
    metric = "mAP"
    hub_name = "object-detection"
    augmentations: tuple[Augmentation, ...] = ("shift", "mirror")

    def __init__(self, stride: int = 4, size: float = 32.0, most: int = 100) -> None:
        self.stride = stride
        self.size = size
        self.most = most

    def outputs(self, output: Any) -> Outputs:
        """The map: the first tensor, however it is nested."""
        return (first_tensor(output),)

    def require(self, outputs: Outputs, labels: Tensor) -> None:
        """A map of at least one class, and boxes with their classes."""
        shape = tuple(outputs[0].shape[1:])
        if len(shape) != 3 or shape[0] <= BOX:
            raise UsageError(
                f"the network's outputs have shape {shape}; for detection they must be one map, "
                "(classes + 4, height, width), or the task one of your own with its own decode"
            )
        wanted = tuple(labels.shape[1:])
        if len(wanted) != 2 or wanted[1] != _LABEL:
            raise DataError(
                f"labels have shape {wanted} each; for detection they must be (boxes, 5): x1, y1, "
                "x2, y2 and class, with class -1 in rows without a box"
            )
        classes = shape[0] - BOX
        highest = int(labels[..., -1].max()) if labels.numel() else -1
        if highest >= classes:
            raise DataError(
                f"labels have the class {highest}; allowed are the network's classes, 0 to "
                f"{classes - 1}"
            )
        boxes = labels[labels[..., -1] >= 0]
        if bool((boxes[:, 2:4] <= boxes[:, :2]).any()):
            raise DataError("labels have a box without an area; x1 < x2 and y1 < y2 must hold")

    def divergences(self, candidate: Outputs, original: Outputs) -> Tensor:
        """How far a map is from the original's, per object that this sees.

        KL(candidate ‖ original) in nats of whether there is a centre, of all cells and classes,
        and squared distances of boxes, each weighed by how sure the original is of an object there.
        """
        return bounded(self._distances(candidate, original))

    def loss(self, outputs: Outputs, labels: Tensor) -> Tensor:
        """CenterNet's: a focal loss of centres, and L1 of boxes at these."""
        maps = outputs[0]
        wanted = Centres.of(labels, maps, stride=self.stride, size=self.size)
        logits, boxes = maps[:, :-BOX], maps[:, -BOX:]
        return focal_loss(logits, wanted) + box_loss(boxes, wanted)

    def distillation(self, outputs: Outputs, wanted: Outputs, temperature: float) -> Tensor:
        """The mean divergence: answers yes or no keep their temperature."""
        return self._distances(outputs, wanted).mean()

    def meter(self) -> Meter:
        """COCO's mAP@[.5:.95]."""
        return _Meter(self)

    def decode(self, outputs: Outputs) -> Detections:
        """The surest objects of each image: cells whose score none beside them exceeds."""
        maps = outputs[0].float().nan_to_num(-_FAR)
        boxes = maps[:, -BOX:]
        scores = maps[:, :-BOX].sigmoid()
        flat = _peaks(scores).flatten(1)
        count = min(self.most, flat.shape[1])
        surest, places = flat.topk(count)

        height, width = maps.shape[2:]
        area = height * width
        cells = places % area
        classes = places // area

        at = cells[:, None].expand(-1, BOX, -1)
        numbers = boxes.flatten(2).gather(2, at)
        right, down, wide, high = numbers.unbind(1)
        x = (cells % width + right) * self.stride
        y = (cells // width + down) * self.stride
        half_width = wide.clamp_max(_FAR).exp() * (self.size / 2)
        half_height = high.clamp_max(_FAR).exp() * (self.size / 2)

        corners = (x - half_width, y - half_height, x + half_width, y + half_height)
        return Detections(torch.stack(corners, -1), surest, classes)

    def mirrored(self, labels: Tensor, width: int) -> Tensor:
        """Boxes turned from left to right."""
        x1, y1, x2, y2, classes = labels.unbind(-1)
        return torch.stack((width - x2, y1, width - x1, y2, classes), -1)

    def shifted(self, labels: Tensor, down: Tensor, right: Tensor, size: tuple[int, int]) -> Tensor:
        """Boxes moved alike and cut at the border; those whose centre moves out are gone."""
        height, width = size
        left, top, end, bottom, classes = labels.unbind(-1)
        left = left + right[:, None]
        end = end + right[:, None]
        top = top + down[:, None]
        bottom = bottom + down[:, None]

        x = (left + end) / 2
        y = (top + bottom) / 2
        is_across = (x >= 0) & (x < width)
        is_along = (y >= 0) & (y < height)
        kept = torch.where(is_across & is_along, classes, _NO_BOX)

        cut = (
            left.clamp(0, width),
            top.clamp(0, height),
            end.clamp(0, width),
            bottom.clamp(0, height),
        )
        return torch.stack((*cut, kept), -1)

    def _distances(self, found: Outputs, wanted: Outputs) -> Tensor:
        mine = found[0].float()
        theirs = wanted[0].float()
        logits = theirs[:, :-BOX]
        of_centres = yes_or_no_divergences(mine[:, :-BOX], logits)

        sureness = logits.sigmoid().amax(1, keepdim=True)
        apart = mine[:, -BOX:] - theirs[:, -BOX:]
        of_boxes = apart.square() * sureness

        # As many objects as the original is sure of; never fewer than one.
        peaks = _peaks(sureness)
        objects = peaks.flatten(1).sum(1).clamp_min(1.0)

        centres = of_centres.flatten(1).sum(1)
        boxes = of_boxes.flatten(1).sum(1)
        return (centres + boxes) / objects


def _peaks(scores: Tensor) -> Tensor:
    """Scores (images, maps, h, w) of the cells that none beside them exceeds; 0 elsewhere."""
    largest_around = F.max_pool2d(scores, 3, 1, 1)
    return scores * (largest_around == scores)


class _Meter:
    def __init__(self, task: Detection) -> None:
        self._task = task
        self._precision = AveragePrecision()

    def update(self, outputs: Outputs, labels: Tensor) -> None:
        self._precision.add(self._task.decode(outputs), labels)

    def compute(self) -> float:
        return self._precision.compute()


DETECTION = Detection()
