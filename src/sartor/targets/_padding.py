"""Zeros, or what else, that convolutions put around what they read, side by side and in numbers."""

from __future__ import annotations

from collections.abc import Sequence

from torch import nn

#: Layers that have padding.
Convolution = nn.Conv1d | nn.Conv2d | nn.Conv3d


def same_padding(kernel: Sequence[int], dilation: Sequence[int]) -> list[tuple[int, int]]:
    """Before and after each side, so that the size stays; one more after where it is odd.

    >>> same_padding((3, 2), (2, 1))
    [(2, 2), (0, 1)]
    """
    pads = []
    for window, wide in zip(kernel, dilation, strict=True):
        whole = wide * (window - 1)
        before = whole // 2
        pads.append((before, whole - before))
    return pads


def padding_of(layer: Convolution) -> list[tuple[int, int]]:
    """Before and after each side, whatever way a layer says it.

    >>> padding_of(nn.Conv1d(1, 1, 4, padding="same"))
    [(1, 2)]
    """
    if layer.padding == "same":
        return same_padding(layer.kernel_size, layer.dilation)

    # the only other word is "valid"
    if isinstance(layer.padding, str):
        return [(0, 0)] * len(layer.kernel_size)
    return [(int(side), int(side)) for side in layer.padding]
