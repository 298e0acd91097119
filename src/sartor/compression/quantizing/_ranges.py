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
    low, high = (float(item) for item in values.aminmax())
    if method == "minmax" or low == high:
        return low, high
    flat = values.flatten()
    sample = flat[:: max(1, flat.numel() // _SAMPLE)].float()
    if method == "percentile":
        tails = sample.quantile(torch.tensor([1 - _PERCENTILE, _PERCENTILE]))
        return float(tails[0]), float(tails[1])
    low = min(low, 0.0)
    high = max(high, 0.0)
    errors = [
        _rounding_error(sample, low * share, high * share, bits) for share in _SHARES.tolist()
    ]
    best = float(_SHARES[int(torch.stack(errors).argmin())])
    return best * low, best * high


def _rounding_error(values: Tensor, low: float, high: float, bits: int) -> Tensor:
    largest = 2**bits - 1
    scale = max((high - low) / largest, SMALLEST_SCALE)
    zero_point = round(-low / scale)
    rounded = torch.fake_quantize_per_tensor_affine(values, scale, zero_point, 0, largest)
    return (rounded - values).square().mean()
