"""Ranges of weights that lose least: the largest weights may be clipped, if all others gain."""

from __future__ import annotations

import torch
from torch import Tensor

from sartor.compression.quantizing import Scheme, limits_of, whole_range
from sartor.compression.rounding._nearest import nearest

#: Shares of the range that just holds all weights.
_SHARES = (1.0, 0.95, 0.9, 0.85, 0.8, 0.75, 0.7, 0.65, 0.6, 0.55, 0.5, 0.45, 0.4)


def fitting_range(
    weight: Tensor, energy: Tensor, bits: int, scheme: Scheme
) -> tuple[Tensor, Tensor]:
    """Scale and zero point of each output, both (outputs,), for weights (outputs, n).

    Of some shares of the range that holds them, the one with the least squared error, weighed by
    the ``energy`` of each input, (n,).

    >>> from sartor.compression.quantizing import INTEGER
    >>> weight = torch.tensor([[1.0, 0.5, 0.45, -0.5, -0.45, 0.5]])
    >>> scale, _ = fitting_range(weight, torch.ones(6), 2, INTEGER)
    >>> 0.5 <= float(scale) < 0.6
    True
    """
    ranges = [whole_range(weight * share, bits, scheme) for share in _SHARES]
    scales = torch.stack([scale for scale, _ in ranges])
    zero_points = torch.stack([zero_point for _, zero_point in ranges])

    # (shares, outputs, n)
    limits = limits_of(bits, scheme)
    rounded = nearest(weight, scales[..., None], zero_points[..., None], limits)
    errors = (rounded - weight).square() @ energy

    best = errors.argmin(0, keepdim=True)
    scale = scales.gather(0, best)
    zero_point = zero_points.gather(0, best)
    return scale[0], zero_point[0]
