"""Ranges of activations, from calibration images."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import torch
from torch import Tensor, fx

from sartor.compression._options import RangeMethod
from sartor.graph import walk

#: Lowest and highest value of tensors at given bits.
Ranges = dict[tuple[fx.Node, int], tuple[float, float]]

#: Share of the values that the percentile range covers on each side.
_PERCENTILE = 0.9999
#: Values looked at per tensor by the methods that need more than two of them.
_SAMPLE = 200_000
#: Ranges tried by the least-squares method, as shares of the whole range.
_SHARES = torch.linspace(0.3, 1.0, 29)
#: Smallest step of a rounded number.
SMALLEST_SCALE = 1e-12


def calibrate(
    network: fx.GraphModule,
    inputs: tuple[Tensor, ...],
    points: Iterable[tuple[fx.Node, int]],
    method: RangeMethod,
) -> Ranges:
    """Lowest and highest value worth representing, for nodes of ``network`` at given bits."""
    wanted: dict[fx.Node, list[int]] = {}
    for node, bits in points:
        wanted.setdefault(node, []).append(bits)

    # All in one walk, which takes far longer than finding the ranges.
    ranges: Ranges = {}

    def visit(node: fx.Node, value: Any) -> None:
        for bits in wanted.get(node, ()):
            ranges[node, bits] = find_range(value, bits, method)

    walk(network, inputs, visit)
    return ranges


def find_range(values: Tensor, bits: int, method: RangeMethod) -> tuple[float, float]:
    """Range of one tensor.

    All of it (``minmax``), all but 0.01 % on each side (``percentile``), or the one with least
    squared rounding error at these ``bits`` (``mse``).

    >>> find_range(torch.tensor([-1.0, 0.0, 3.0]), 8, "minmax")
    (-1.0, 3.0)
    """
    lowest, highest = values.aminmax()
    low = float(lowest)
    high = float(highest)
    if method == "minmax" or low == high:
        return low, high

    flat = values.flatten()
    step = max(1, flat.numel() // _SAMPLE)
    sample = flat[::step].float()
    if method == "percentile":
        return _without_tails(sample)
    return _least_error_range(sample, low, high, bits)


def _without_tails(sample: Tensor) -> tuple[float, float]:
    shares = torch.tensor([1 - _PERCENTILE, _PERCENTILE], device=sample.device)
    low, high = sample.quantile(shares).tolist()
    return low, high


def _least_error_range(sample: Tensor, low: float, high: float, bits: int) -> tuple[float, float]:
    """The one among parts of a range that rounds a sample best."""
    # Zero is always represented, so it lies in every range.
    low = min(low, 0.0)
    high = max(high, 0.0)

    errors = []
    for share in _SHARES.tolist():
        error = _rounding_error(
            sample,
            low=low * share,
            high=high * share,
            bits=bits,
        )
        errors.append(error)

    least = torch.stack(errors).argmin()
    index = int(least)
    best = float(_SHARES[index])
    return best * low, best * high


def _rounding_error(values: Tensor, low: float, high: float, bits: int) -> Tensor:
    """Mean squared error of values that are rounded in a range."""
    largest = 2**bits - 1
    step = (high - low) / largest
    scale = max(step, SMALLEST_SCALE)
    zero_point = round(-low / scale)

    rounded = torch.fake_quantize_per_tensor_affine(
        values,
        scale,
        zero_point,
        quant_min=0,
        quant_max=largest,
    )
    error = rounded - values
    return error.square().mean()
