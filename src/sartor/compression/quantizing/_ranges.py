"""Ranges of activations, from calibration images."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
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


@dataclass(eq=False)
class _Seen:
    """What is remembered of a tensor, part by part."""

    low: float
    high: float
    sample: list[Tensor] = field(default_factory=list)

    @classmethod
    def of(cls, values: Tensor, parts: int, method: RangeMethod) -> _Seen:
        """Of one of so many parts."""
        lowest, highest = values.aminmax()
        seen = cls(float(lowest), float(highest))
        if method == "minmax":
            return seen

        sample = _sampled(values.flatten(), most=max(1, _SAMPLE // parts))
        seen.sample.append(sample.float())
        return seen

    def add(self, other: _Seen) -> None:
        """Another part."""
        self.low = min(self.low, other.low)
        self.high = max(self.high, other.high)
        self.sample += other.sample

    def range(self, bits: int, method: RangeMethod) -> tuple[float, float]:
        """What is worth representing."""
        if method == "minmax" or self.low == self.high:
            return self.low, self.high

        sample = torch.cat(self.sample)
        if method == "percentile":
            return _without_tails(sample)
        return _least_error_range(sample, self.low, self.high, bits)


def calibrate(
    network: fx.GraphModule,
    inputs: tuple[Tensor, ...],
    points: Iterable[tuple[fx.Node, int]],
    method: RangeMethod,
    at_once: int | None = None,
) -> Ranges:
    """Lowest and highest value worth representing, for nodes of ``network`` at given bits.

    Of the ``inputs``, ``at_once`` run together; all if None.
    """
    size = at_once or len(inputs[0])
    parts = list(zip(*(item.split(size) for item in inputs), strict=True))
    wanted: dict[fx.Node, list[int]] = {}
    for node, bits in points:
        wanted.setdefault(node, []).append(bits)

    # All in one walk, which takes far longer than finding the ranges.
    seen: dict[fx.Node, _Seen] = {}

    def visit(node: fx.Node, value: Any) -> None:
        if node not in wanted:
            return
        here = _Seen.of(value, len(parts), method)
        if node in seen:
            seen[node].add(here)
        else:
            seen[node] = here

    for part in parts:
        walk(network, part, visit)

    ranges: Ranges = {}
    for node, found in seen.items():
        for bits in wanted[node]:
            ranges[node, bits] = found.range(bits, method)
    return ranges


def find_range(values: Tensor, bits: int, method: RangeMethod) -> tuple[float, float]:
    """Range of one tensor.

    All of it (``minmax``), all but 0.01 % on each side (``percentile``), or the one with least
    squared rounding error at these ``bits`` (``mse``).

    >>> find_range(torch.tensor([-1.0, 0.0, 3.0]), 8, "minmax")
    (-1.0, 3.0)
    """
    return _Seen.of(values, 1, method).range(bits, method)


def _sampled(flat: Tensor, most: int) -> Tensor:
    """All of it, or some values that are drawn, the same each time."""
    if len(flat) <= most:
        return flat
    # Not every n-th: that can be a column of each image, such as its padding.
    generator = torch.Generator().manual_seed(0)
    places = torch.randint(len(flat), (most,), generator=generator)
    return flat[places.to(flat.device)]


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
