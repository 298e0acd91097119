"""The mean average precision of detections, as COCO defines it."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass

import numpy as np
from torch import Tensor

from sartor.machine import BoolArray, FloatArray, IntArray

#: Overlaps that a detection must have to be right; the mean is over them.
_THRESHOLDS = np.linspace(0.5, 0.95, 10)
#: Recalls at which precision is read off.
_RECALLS = np.linspace(0.0, 1.0, 101)
#: Detections of one class that count in one image.
_MOST = 100


@dataclass(frozen=True, eq=False)
class Detections:
    """What was found in some images; those with a score of 0 or less are none.

    Attributes:
        boxes: Corners x1, y1, x2, y2 in pixels, (images, detections, 4).
        scores: (images, detections).
        classes: Numbers from 0, (images, detections).
    """

    boxes: Tensor
    scores: Tensor
    classes: Tensor


class AveragePrecision:
    """COCO mAP@[.5:.95] of boxes: over ten overlaps, and over all classes that there are.

    As pycocotools computes it for boxes of all sizes, at most 100 of a class in an image, without
    crowds.

    >>> import torch
    >>> box = torch.tensor([[[0.0, 0.0, 10.0, 10.0]]])
    >>> found = Detections(box, torch.tensor([[0.9]]), torch.tensor([[2]]))
    >>> metric = AveragePrecision()
    >>> metric.add(found, torch.tensor([[[0.0, 0.0, 10.0, 7.2, 2.0]]]))  # they overlap by 0.72
    >>> metric.compute()
    0.5
    """

    def __init__(self) -> None:
        self._matched: dict[int, list[BoolArray]] = defaultdict(list)
        self._scores: dict[int, list[FloatArray]] = defaultdict(list)
        self._wanted: dict[int, int] = defaultdict(int)

    def add(self, found: Detections, labels: Tensor) -> None:
        """Take in some images; labels are (images, boxes, 5): corners and class, −1 for no box."""
        boxes = found.boxes.double().cpu().numpy()
        scores = found.scores.double().cpu().numpy()
        classes = found.classes.cpu().numpy()
        wanted = labels.double().cpu().numpy()

        for image in range(len(wanted)):
            is_found = scores[image] > 0
            is_box = wanted[image, :, 4] >= 0
            self._add_image(
                boxes[image][is_found],
                scores[image][is_found],
                classes[image][is_found],
                wanted[image][is_box],
            )

    def compute(self) -> float:
        """The mean over classes and overlaps; 0 where there is no box at all."""
        found = []
        for number, count in self._wanted.items():
            if not count:
                continue
            precisions = _precisions(self._scores[number], self._matched[number], count)
            found.append(precisions)
        return float(np.mean(found)) if found else 0.0

    def _add_image(
        self, boxes: FloatArray, scores: FloatArray, classes: IntArray, wanted: FloatArray
    ) -> None:
        labels = wanted[:, 4].astype(np.int64)
        for number in np.union1d(classes, labels).tolist():
            is_mine = classes == number
            mine = boxes[is_mine]
            sure = scores[is_mine]
            # Stable, so that of equal scores the first comes first.
            order = np.argsort(-sure, kind="stable")[:_MOST]

            is_wanted = labels == number
            theirs = wanted[is_wanted, :4]

            matched = _match(mine[order], theirs)
            self._matched[number].append(matched)
            self._scores[number].append(sure[order])
            self._wanted[number] += len(theirs)


def _match(found: FloatArray, wanted: FloatArray) -> BoolArray:
    """Which detections, the surest first, have a box of their own, (thresholds, detections)."""
    thresholds = len(_THRESHOLDS)
    rows = np.arange(thresholds)
    matched = np.zeros((thresholds, len(found)), dtype=np.bool_)
    taken = np.zeros((thresholds, len(wanted)), dtype=np.bool_)

    overlaps = _overlaps(found, wanted)
    nearest = overlaps.max(1, initial=0.0)
    for place in np.flatnonzero(nearest >= _THRESHOLDS[0]):
        # Boxes that are taken are none any more.
        free = np.where(taken, -1.0, overlaps[place])
        # Of equally good ones the last, as COCO takes it.
        from_behind = free[:, ::-1].argmax(1)
        best = len(wanted) - 1 - from_behind

        is_match = free[rows, best] >= _THRESHOLDS
        matched[:, place] = is_match
        taken[rows[is_match], best[is_match]] = True
    return matched


def _overlaps(found: FloatArray, wanted: FloatArray) -> FloatArray:
    """Intersection over union of each pair, (found, wanted)."""
    pairs = found[:, None]
    low = np.maximum(pairs[..., :2], wanted[:, :2])
    high = np.minimum(pairs[..., 2:], wanted[:, 2:])
    sides = (high - low).clip(0)
    shared = sides.prod(2)

    both = _areas(found)[:, None] + _areas(wanted)
    union = both - shared
    return shared / np.maximum(union, 1e-12)


def _areas(boxes: FloatArray) -> FloatArray:
    sides = boxes[:, 2:] - boxes[:, :2]
    areas: FloatArray = sides.prod(1)
    return areas


def _precisions(scores: list[FloatArray], matched: list[BoolArray], count: int) -> FloatArray:
    """Mean precision over all recalls of one class with ``count`` boxes, (thresholds,)."""
    order = np.argsort(-np.concatenate(scores), kind="stable")
    right = np.concatenate(matched, 1)[:, order]
    hits = right.cumsum(1)
    recalls = hits / count
    precisions = hits / np.arange(1, right.shape[1] + 1)
    # The best precision at this recall or a larger one.
    best = np.maximum.accumulate(precisions[:, ::-1], 1)[:, ::-1]

    found = []
    for recall, precision in zip(recalls, best, strict=True):
        places = np.searchsorted(recall, _RECALLS)
        # Recalls that are not reached have a precision of 0.
        reached = np.append(precision, 0.0)[places]
        found.append(reached.mean())
    return np.array(found)
