"""What a map of centres is trained for (CenterNet, Zhou et al. 2019)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Self

import torch
from torch import Tensor
from torch.nn import functional as F

#: Channels of a box: right, down, logarithms of width and height.
BOX = 4
#: Sides of a box that its bump on the map is wide, as standard deviation.
_BUMP = 1 / 6
#: Cells that are surely right or wrong count less (focal loss): exponents of how sure, how near.
_SURE = 2
_NEAR = 4


@dataclass(frozen=True, eq=False)
class Centres:
    """Where objects are on a map.

    Attributes:
        heat: 1 at centres, less around them, (images, classes, h, w).
        cells: Cells of the centres, counted row by row, (images, boxes).
        boxes: What the map should say there, (images, 4, boxes).
        is_box: Which of the boxes there are, (images, boxes).
    """

    heat: Tensor
    cells: Tensor
    boxes: Tensor
    is_box: Tensor

    @property
    def count(self) -> Tensor:
        """Boxes of all images, at least 1, ()."""
        return self.is_box.sum().clamp_min(1)

    @classmethod
    def of(cls, labels: Tensor, maps: Tensor, *, stride: int, size: float) -> Self:
        """Of labels (images, boxes, 5), on ``maps`` (images, classes + 4, h, w)."""
        height, width = maps.shape[2:]
        corners = labels[..., :4].to(maps.dtype) / stride
        is_box = labels[..., 4] >= 0
        x = corners[..., 0::2].mean(-1)
        y = corners[..., 1::2].mean(-1)
        column = x.floor().clamp(0, width - 1)
        row = y.floor().clamp(0, height - 1)

        # Rows without a box may hold anything.
        sides = (corners[..., 2:] - corners[..., :2]).clamp_min(1e-3)
        scaled = sides * (stride / size)
        wide, high = scaled.log().unbind(-1)
        boxes = torch.stack((x - column, y - row, wide, high), 1)

        heat = torch.zeros_like(maps[:, :-BOX])
        images = torch.arange(len(labels), device=heat.device)
        classes = labels[..., 4].long().clamp_min(0)
        spread = sides.prod(-1).sqrt() * _BUMP
        for number in range(labels.shape[1]):
            bump = _bump(column[:, number], row[:, number], spread[:, number], height, width)
            bump = bump * is_box[:, number, None, None]

            place = (images, classes[:, number])
            heat[place] = torch.maximum(heat[place], bump)

        cells = row * width + column
        return cls(heat, cells.long(), boxes, is_box)


def _bump(column: Tensor, row: Tensor, spread: Tensor, height: int, width: int) -> Tensor:
    """1 at a cell and a Gaussian around it, (images, height, width)."""
    columns = torch.arange(width, device=column.device) - column[:, None]
    rows = torch.arange(height, device=row.device) - row[:, None]
    distance = rows.square()[:, :, None] + columns.square()[:, None, :]
    return (-distance / (2 * spread.square())[:, None, None]).exp()


def focal_loss(logits: Tensor, wanted: Centres) -> Tensor:
    """Of whether there is a centre, per object."""
    yes = logits.sigmoid()
    no = 1 - yes
    is_centre = wanted.heat == 1
    found = no**_SURE * F.logsigmoid(logits)

    # Cells near a centre may be taken for it at little cost.
    distance = (1 - wanted.heat) ** _NEAR
    missed = distance * yes**_SURE * F.logsigmoid(-logits)

    likelihood = torch.where(is_centre, found, missed)
    return -likelihood.sum() / wanted.count


def box_loss(boxes: Tensor, wanted: Centres) -> Tensor:
    """Distance (L1) of boxes at the centres, per object; ``boxes`` (images, 4, h, w)."""
    at = wanted.cells[:, None].expand(-1, BOX, -1)
    found = boxes.flatten(2).gather(2, at)
    distances = (found - wanted.boxes).abs() * wanted.is_box[:, None]
    return distances.sum() / wanted.count
