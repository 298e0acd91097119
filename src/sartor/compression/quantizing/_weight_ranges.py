"""Ranges of weights, those of every output channel."""

from __future__ import annotations

import torch
from torch import Tensor

from sartor.compression.quantizing._ranges import SMALLEST_SCALE
from sartor.compression.quantizing._rounding import allowed_scale
from sartor.compression.quantizing._scheme import Scheme


def limits_of(bits: int, scheme: Scheme) -> tuple[int, int]:
    """Lowest and highest whole number that a scheme allows.

    >>> from sartor.compression.quantizing import GALEN, INTEGER
    >>> limits_of(4, GALEN), limits_of(4, INTEGER)
    ((-8, 7), (-7, 7))
    """
    if _is_symmetric(bits, scheme):
        largest = scheme.largest_weight(bits)
        return -largest, largest
    return integer_range(bits)


def integer_range(bits: int) -> tuple[int, int]:
    """Lowest and highest signed integer of so many bits."""
    half = 2 ** (bits - 1)
    return -half, half - 1


def whole_range(weight: Tensor, bits: int, scheme: Scheme) -> tuple[Tensor, Tensor]:
    """Scale and zero point of every output channel, (outputs,), that just hold a weight."""
    flat = weight.flatten(1)
    if _is_symmetric(bits, scheme):
        scale, zero_point = _symmetric(flat, scheme.largest_weight(bits))
        return allowed_scale(scale, scheme), zero_point
    return _asymmetric(flat, bits)


def _is_symmetric(bits: int, scheme: Scheme) -> bool:
    """One bit has no number beside zero that is symmetric to another."""
    return scheme.symmetric_weights and bits > 1


def _symmetric(flat: Tensor, largest: int) -> tuple[Tensor, Tensor]:
    """Scale and zero point of rows whose largest absolute value becomes ``largest``."""
    reach = flat.abs().amax(1)
    scale = (reach / largest).clamp_min(SMALLEST_SCALE)
    zero_point = torch.zeros(len(flat), dtype=torch.int32, device=flat.device)
    return scale, zero_point


def _asymmetric(flat: Tensor, bits: int) -> tuple[Tensor, Tensor]:
    """Scale and zero point of rows whose lowest and highest value get the outermost integers."""
    # Zero lies in every range, since pruned weights must stay zero.
    low = flat.amin(1).clamp_max(0)
    high = flat.amax(1).clamp_min(0)
    largest = 2**bits - 1
    step = (high - low) / largest
    scale = step.clamp_min(SMALLEST_SCALE)

    lowest, highest = integer_range(bits)
    nearest = (lowest - low / scale).round()
    zero_point = nearest.clamp(lowest, highest)
    return scale, zero_point.to(torch.int32)
