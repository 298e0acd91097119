"""Rounding whose ranges are trained: gradients reach steps and zero points too."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from sartor.compression.quantizing._scheme import Scheme

#: Of a logarithm, by which what is learned of a range is counted.
TENTHS = 10
#: Of an exponent of two, by which a step may be missed by computing it.
_ALMOST = 1e-4


def round_learned(
    x: Tensor, scale: Tensor, zero_point: Tensor, lowest: int, highest: int
) -> Tensor:
    """A tensor, rounded to whole numbers from ``lowest`` to ``highest`` times a step.

    With one ``scale`` and ``zero_point``, (), or those of every output channel, (outputs,), for x
    (outputs, …). The zero point is a whole number, but in floating point.

    The gradient of the step is that of LSQ (Esser et al. 2020, equation 3): a number that is
    rounded changes with the step by what rounding adds to it, and one that is clipped by the whole
    number that it is clipped to. That of the zero point is LSQ+'s (Bhalgat et al. 2020): only
    what is clipped moves with it.

    >>> scale = torch.tensor(1.0, requires_grad=True)
    >>> rounded = round_learned(torch.tensor([0.75, 9.0]), scale, torch.tensor(0.0), 0, 3)
    >>> rounded.sum().backward()
    >>> rounded.tolist(), float(scale.grad)
    ([1.0, 3.0], 3.25)
    """
    limits = (lowest, highest)
    rounded: Tensor = _Rounding.apply(x, scale, zero_point, limits)  # type: ignore[no-untyped-call]
    return rounded


def factor_of(growth: Tensor) -> Tensor:
    """What a range is multiplied by: ``growth`` counts tenths of the logarithm.

    >>> float(factor_of(torch.tensor(0.0)))
    1.0
    """
    return (growth / TENTHS).exp()


def allowed_scale(scale: Tensor, scheme: Scheme) -> Tensor:
    """The smallest steps that a scheme allows and that are no smaller.

    >>> from sartor.compression import DATAFLOW_EXACT
    >>> allowed_scale(torch.tensor([0.3, 0.5]), DATAFLOW_EXACT)
    tensor([0.5000, 0.5000])
    """
    if not scheme.powers_of_two:
        return scale
    # What is a power of two but for rounding errors stays that one.
    exponent = torch.ceil(torch.log2(scale.double()) - _ALMOST)
    return torch.exp2(exponent).to(scale.dtype)


def nearest_scale(scale: Tensor, scheme: Scheme) -> Tensor:
    """The steps that a scheme allows and that are nearest, with the gradient of ``scale``.

    Of what is learned, since the next larger power of two is twice as large at once.

    >>> from sartor.compression import DATAFLOW_EXACT
    >>> nearest_scale(torch.tensor([0.3, 0.51]), DATAFLOW_EXACT)
    tensor([0.2500, 0.5000])
    """
    if not scheme.powers_of_two:
        return scale
    exponent = torch.round(torch.log2(scale.detach().double()))
    exact = torch.exp2(exponent).to(scale.dtype)
    # To the last bit it is the power of two; what is added has its gradient and is 0.
    fixed = scale.detach()
    return exact + (scale - fixed) * (exact / fixed)


def whole(x: Tensor) -> Tensor:
    """The nearest whole numbers, with the gradient of x."""
    return x + (x.round() - x).detach()


def beside(scale: Tensor, x: Tensor) -> tuple[int, ...]:
    """The shape in which one step, or those of every output, stand beside x, (outputs, …)."""
    return (-1, *[1] * (x.dim() - 1)) if scale.dim() else ()


class _Rounding(torch.autograd.Function):
    """Fake quantization, per tensor or per output channel."""

    @staticmethod
    def forward(
        ctx: Any, x: Tensor, scale: Tensor, zero_point: Tensor, limits: tuple[int, int]
    ) -> Tensor:
        """The same numbers as without training."""
        shift = zero_point.to(torch.int32)
        if scale.dim():
            rounded = torch.fake_quantize_per_channel_affine(x, scale, shift, 0, *limits)
        else:
            rounded = torch.fake_quantize_per_tensor_affine(x, scale, shift, *limits)
        ctx.save_for_backward(x, rounded, scale, zero_point)
        ctx.limits = limits
        return rounded

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, ...]:
        """Of x, the step and the zero point."""
        x, rounded, scale, zero_point = ctx.saved_tensors
        shape = beside(scale, x)
        step = scale.view(shape)
        lowest, highest = ctx.limits
        # Up to half a step beyond its ends, numbers are rounded and not clipped.
        low = (lowest - 0.5 - zero_point.view(shape)) * step
        high = (highest + 0.5 - zero_point.view(shape)) * step

        is_inside = x.clamp(low, high) == x
        passed = torch.where(is_inside, gradient, 0.0)
        by_step = torch.where(is_inside, rounded - x, rounded)
        of_step = _sum_like(scale, gradient * by_step) / scale
        of_zero_point = _sum_like(scale, passed - gradient) * scale
        return passed, of_step, of_zero_point, None


def _sum_like(scale: Tensor, x: Tensor) -> Tensor:
    """Sums over all that has one step."""
    if scale.dim():
        return x.flatten(1).sum(1, dtype=scale.dtype)
    return x.sum(dtype=scale.dtype)
