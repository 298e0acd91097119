"""The numbers that can be represented."""

from __future__ import annotations

from torch import Tensor


def nearest(values: Tensor, scale: Tensor, zero_point: Tensor, limits: tuple[int, int]) -> Tensor:
    """Those nearest to some values: whole numbers within limits, less the zero point, times a step.

    >>> import torch
    >>> nearest(torch.tensor([0.9, 9.0]), torch.tensor(0.5), torch.tensor(0), (-3, 3))
    tensor([1.0000, 1.5000])
    """
    steps = (values / scale).round() + zero_point
    whole = steps.clamp(*limits)
    return (whole - zero_point) * scale
