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


def rows_at(places: Tensor, x: Tensor, positions: int) -> Tensor:
    """What a linear layer reads or writes at places, (images × places, channels).

    Each image has so many ``positions``, in whatever axes: windows may lie in that of the batch.
    """
    rows = x.reshape(-1, positions, x.shape[-1])
    return rows[:, places].flatten(0, 1).float()


def pixels_at(places: Tensor, y: Tensor) -> Tensor:
    """Outputs (images, channels, …) at places, (images × places, channels)."""
    picked = y.flatten(2)[:, :, places]
    return picked.permute(0, 2, 1).reshape(-1, y.shape[1]).float()


def windows(padded: Tensor, pixels: Tensor, places: int) -> Tensor:
    """Inputs that give the outputs at so many places, (images × places, kernel × in channels).

    In the order of `as_matrix`, for any stride, dilation, padding and number of dimensions.
    ``padded`` is what `pad_channels_last` gives, ``pixels`` what `pixels_read` gives.
    """
    images, *_, channels = padded.shape

    # Picked by index: unfolding would also build the windows of all other places.
    flat = padded.reshape(images, -1, channels)
    picked = flat.index_select(1, pixels)
    rows = images * places
    return picked.reshape(rows, -1).float()


def padding_sides(layer: Convolution) -> Sides:
    """How much a convolution pads, before and after each dimension."""
    if layer.padding == "valid":
        return [(0, 0)] * len(layer.kernel_size)
    if layer.padding != "same":
        amounts = cast("tuple[int, ...]", layer.padding)
        return [(amount, amount) for amount in amounts]

    sides = []
    for taps, wide in zip(layer.kernel_size, layer.dilation, strict=True):
        total = wide * (taps - 1)
        # Of an odd number of zeros torch puts the last one behind.
        before = total // 2
        sides.append((before, total - before))

    return sides


def pad_channels_last(layer: Convolution, x: Tensor) -> Tensor:
    """The padded input, channels last: (images, …, channels)."""
    # In torch's order: the last dimension first.
    amounts: list[int] = []
    for before, after in reversed(padding_sides(layer)):
        amounts += [before, after]

    # Padding with nothing would still copy.
    if not any(amounts):
        return x.movedim(1, -1)

    if layer.padding_mode == "zeros":
        channels_last = x.movedim(1, -1)
        return F.pad(channels_last, [0, 0, *amounts])

    # The other modes take only dimensions behind the channels.
    padded = F.pad(x, amounts, mode=layer.padding_mode)
    return padded.movedim(1, -1)


def pixels_read(places: Tensor, layer: Convolution, sizes: Sequence[int]) -> Tensor:
    """Positions in the flattened padded input, (places × kernel), of what is read at places."""
    output_size = _output_size(layer, sizes)
    starts = torch.unravel_index(places, output_size)
    pixels = torch.zeros(len(places), 1, dtype=torch.int64, device=places.device)

    dimensions = zip(
        starts,
        sizes,
        layer.kernel_size,
        layer.stride,
        layer.dilation,
        strict=True,
    )
    for start, size, taps, step, wide in dimensions:
        offsets = torch.arange(taps, device=places.device) * wide
        line = start[:, None] * step + offsets

        # As digits of a number: what stands before counts ``size`` times as much.
        outer = pixels[:, :, None] * size
        inner = line[:, None, :]
        pixels = (outer + inner).flatten(1)

    return pixels.flatten()


def _output_size(layer: Convolution, sizes: Sequence[int]) -> list[int]:
    """Outputs in each dimension, for a padded input of these sizes."""
    found = []
    dimensions = zip(
        sizes,
        layer.kernel_size,
        layer.stride,
        layer.dilation,
        strict=True,
    )
    for size, taps, step, wide in dimensions:
        reach = wide * (taps - 1) + 1
        steps = (size - reach) // step
        found.append(steps + 1)

    return found
