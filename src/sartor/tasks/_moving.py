"""Maps of labels that move as their images do."""

from __future__ import annotations

import torch
from torch import Tensor


def shifted_maps(maps: Tensor, down: Tensor, right: Tensor, *, outside: int) -> Tensor:
    """Maps (images, height, width), each moved down and to the right by pixels of its own.

    What comes in is ``outside``.

    >>> maps = torch.tensor([[[1, 2], [3, 4]]])
    >>> shifted_maps(maps, torch.tensor([1]), torch.tensor([0]), outside=9)
    tensor([[[9, 9],
             [1, 2]]])
    """
    count, height, width = maps.shape
    device = maps.device
    rows = torch.arange(height, device=device) - down[:, None]
    columns = torch.arange(width, device=device) - right[:, None]
    is_row = (rows >= 0) & (rows < height)
    is_column = (columns >= 0) & (columns < width)

    numbers = torch.arange(count, device=device)
    moved = maps[
        numbers[:, None, None],
        rows.clamp(0, height - 1)[:, :, None],
        columns.clamp(0, width - 1)[:, None, :],
    ]
    is_inside = is_row[:, :, None] & is_column[:, None, :]
    return torch.where(is_inside, moved, outside)
