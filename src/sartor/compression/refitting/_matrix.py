"""Weights of layers as matrices, and which of their columns read which channels."""

from __future__ import annotations

import torch
from torch import Tensor

from sartor.machine import IntArray


def as_matrix(weight: Tensor) -> Tensor:
    """Weights of a layer as (out channels, kernel × in channels).

    The channels of one kernel position stand side by side.
    """
    return weight.movedim(1, -1).flatten(1)


def from_matrix(matrix: Tensor, like: Tensor) -> Tensor:
    """Inverse of `as_matrix`, with the shape of ``like``."""
    rows, columns, *kernel = like.shape
    return matrix.view(rows, *kernel, columns).movedim(-1, 1).contiguous()


def columns_of(channels: IntArray, width: int, taps: int) -> Tensor:
    """Columns that read given channels, in a matrix of ``width`` channels at ``taps`` places."""
    first = torch.arange(taps)[:, None] * width
    columns = first + torch.from_numpy(channels)
    return columns.flatten()


def in_groups(rows: Tensor, taps: int, groups: int) -> Tensor:
    """Rows (n, taps × channels) for each group of a convolution: (groups, n, taps × its channels).

    >>> in_groups(torch.tensor([[1, 2, 3, 4]]), taps=1, groups=2).tolist()
    [[[1, 2]], [[3, 4]]]
    """
    apart = rows.view(len(rows), taps, groups, -1)
    return apart.permute(2, 0, 1, 3).flatten(2)
