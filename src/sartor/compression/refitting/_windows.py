"""The inputs from which a layer computes its outputs at sampled places."""

from __future__ import annotations

from collections.abc import Sequence
from typing import cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn

#: Convolutions of any dimension.
CONVOLUTIONS = (nn.Conv1d, nn.Conv2d, nn.Conv3d)
Convolution = nn.Conv1d | nn.Conv2d | nn.Conv3d
#: Zeros, or what else, before and after each dimension.
Sides = list[tuple[int, int]]


def rows_at(places: Tensor, x: Tensor) -> Tensor:
    """What a linear layer reads or writes at places, (images × places, channels)."""
    positions = x.reshape(len(x), -1, x.shape[-1])
    return positions[:, places].flatten(0, 1).float()


def pixels_at(places: Tensor, y: Tensor) -> Tensor:
    """Outputs (images, channels, …) at places, (images × places, channels)."""
    picked = y.flatten(2)[:, :, places]
    return picked.permute(0, 2, 1).reshape(-1, y.shape[1]).float()


def windows(padded: Tensor, pixels: Tensor, places: int) -> Tensor:
    """Inputs that give the outputs at so many places, (images × places, kernel × in channels).

    In the order of `as_matrix`, for any stride, dilation, padding and number of dimensions.
    ``padded`` is what `pad_channels_last` gives, ``pixels`` what `pixels_read` gives.
    """
    images = padded.shape[0]
    channels = padded.shape[-1]
    picked = padded.reshape(images, -1, channels).index_select(1, pixels)
    return picked.reshape(images * places, -1).float()


def padding_sides(layer: Convolution) -> Sides:
    """How much a convolution pads, before and after each dimension."""
    if layer.padding == "valid":
        return [(0, 0)] * len(layer.kernel_size)
    if layer.padding == "same":
        totals = [
            wide * (taps - 1) for taps, wide in zip(layer.kernel_size, layer.dilation, strict=True)
        ]
        return [(total // 2, total - total // 2) for total in totals]
    return [(side, side) for side in cast("tuple[int, ...]", layer.padding)]


def pad_channels_last(layer: Convolution, x: Tensor) -> Tensor:
    """The padded input, channels last: (images, …, channels)."""
    sides = padding_sides(layer)
    # torch's order: the last dimension first
    amounts = [amount for side in reversed(sides) for amount in side]
    if not any(amounts):
        return x.movedim(1, -1)
    if layer.padding_mode == "zeros":
        return F.pad(x.movedim(1, -1), [0, 0, *amounts])
    return F.pad(x, amounts, mode=layer.padding_mode).movedim(1, -1)


def pixels_read(places: Tensor, layer: Convolution, sizes: Sequence[int]) -> Tensor:
    """Positions in the flattened padded input, (places × kernel), of what is read at places."""
    dimensions = list(zip(sizes, layer.kernel_size, layer.stride, layer.dilation, strict=True))
    output_size = []
    for size, taps, step, wide in dimensions:
        window = wide * (taps - 1) + 1
        output_size.append((size - window) // step + 1)
    starts = torch.unravel_index(places, output_size)
    pixels = torch.zeros(len(places), 1, dtype=torch.int64)
    for start, (size, taps, step, wide) in zip(starts, dimensions, strict=True):
        line = start[:, None] * step + torch.arange(taps) * wide
        pixels = (pixels[:, :, None] * size + line[:, None, :]).flatten(1)
    return pixels.flatten()
