"""Modules that round as the target will: fake quantization with a straight-through gradient.

A number x at b bits is (q − z) · s with q a whole number of b bits, s the scale and z the zero
point (Galen's scheme in the form runtimes use; Jacob et al. 2018, eq. 1). Gradients pass the
rounding unchanged and stop where values are clipped.

While a network is trained its ranges are, too. What is learned of a range is the logarithm of the
factor that it grows by (Jain et al. 2020): then an optimizer whose steps are about as large as its
learning rate, such as Adam, changes coarse and fine ranges alike. It is counted in tenths, so that
ranges change at a tenth of the rate: as fast as weights they are not learned, but shaken.

Where steps are powers of two, sums of products are exact in floating point, in whatever order. A
bias is added to them afterwards then: a kernel that began with it would round on the way.
"""

from __future__ import annotations

from typing import cast

import torch
from torch import Tensor, nn

from sartor.compression.modules import weight_of
from sartor.compression.quantizing._activation_ranges import activation_range
from sartor.compression.quantizing._ranges import SMALLEST_SCALE
from sartor.compression.quantizing._rounding import (
    allowed_scale,
    beside,
    factor_of,
    nearest_scale,
    round_learned,
    whole,
)
from sartor.compression.quantizing._scheme import INTEGER, Scheme
from sartor.compression.quantizing._weight_ranges import (
    integer_range,
    limits_of,
    whole_range,
)


class ActivationQuantizer(nn.Module):
    """Rounds a tensor to ``bits`` unsigned bits with one scale and zero point.

    ``low`` and ``high`` are what is to be represented; zero always is, exactly. It rounds on the
    CPU, or on its ``device``. Signed numbers, which a scheme without zero points has, are unsigned
    ones whose zero point is half of how many there are.

    >>> ActivationQuantizer(2, low=0.0, high=3.0)(torch.tensor([-1.0, 1.2, 9.0]))
    tensor([0., 1., 3.])
    >>> from sartor.compression import DATAFLOW
    >>> ActivationQuantizer(2, low=-2.0, high=0.5, scheme=DATAFLOW)(torch.tensor([-9.0, 0.6, 9.0]))
    tensor([-2.,  1.,  1.])
    """

    scale: Tensor
    zero_point: Tensor
    growth: nn.Parameter | None

    def __init__(
        self,
        bits: int,
        low: float,
        high: float,
        device: torch.device | None = None,
        scheme: Scheme = INTEGER,
    ) -> None:
        super().__init__()
        self.bits = bits
        self.scheme = scheme
        scale, zero_point = activation_range(bits, low, high, scheme)

        self.register_buffer("scale", torch.tensor(scale, device=device))
        number = torch.tensor(zero_point, dtype=torch.int32, device=device)
        self.register_buffer("zero_point", number)
        self.register_parameter("growth", None)

    def forward(self, x: Tensor) -> Tensor:
        """The rounded tensor, in float32."""
        largest = 2**self.bits - 1
        if self.growth is not None:
            scale, zero_point = self.learned()
            return round_learned(x, scale, zero_point, 0, largest)
        return torch.fake_quantize_per_tensor_affine(
            x,
            self.scale,
            self.zero_point,
            quant_min=0,
            quant_max=largest,
        )

    def learned(self) -> tuple[Tensor, Tensor]:
        """Scale and zero point, a whole number, of the range that is trained.

        ``growth``, (2,), is that of what lies below zero and above.
        """
        assert self.growth is not None
        largest = 2**self.bits - 1
        if not self.scheme.zero_points:
            # Both ends are as far away as before, in steps.
            scale = self.scale * factor_of(self.growth.mean())
            return nearest_scale(scale, self.scheme), self.zero_point.to(scale.dtype)

        # In steps, of which there are as many as before: they become wider instead.
        steps = torch.stack([self.zero_point, largest - self.zero_point])
        below, above = steps * factor_of(self.growth)
        wider = (below + above) / largest
        return self.scale * wider, whole(below / wider)


class QuantizedWeight:
    """A layer whose weight is rounded per output channel whenever it is used.

    ``weight`` stays the real one.
    """

    weight: Tensor
    weight_scale: Tensor
    weight_zero_point: Tensor
    weight_bits: int
    scheme: Scheme
    growth: nn.Parameter | None

    def rounded(self) -> Tensor:
        """The weight as the target holds it."""
        if self.growth is not None:
            scale, zero_point = self.learned()
            return round_learned(self.weight, scale, zero_point.to(scale.dtype), *self.limits)
        low, high = self._ends
        return torch.fake_quantize_per_channel_affine(
            self.weight,
            self.weight_scale,
            self.weight_zero_point,
            axis=0,
            quant_min=low,
            quant_max=high,
        )

    def learned(self) -> tuple[Tensor, Tensor]:
        """Scale and zero point of the range that is trained, both (outputs,).

        It follows the weight; ``growth``, (outputs,), says how far it reaches beyond that, or not.
        """
        assert self.growth is not None
        scale, zero_point = self.fitted()
        return nearest_scale(scale * factor_of(self.growth), self.scheme), zero_point

    def fitted(self) -> tuple[Tensor, Tensor]:
        """Scale and zero point of the range that just holds the weight, both (outputs,)."""
        return whole_range(self.weight.detach(), self.weight_bits, self.scheme)

    @property
    def limits(self) -> tuple[int, int]:
        """Lowest and highest whole number that the scheme allows."""
        return limits_of(self.weight_bits, self.scheme)

    @property
    def _ends(self) -> tuple[int, int]:
        """Where whole numbers are clipped: at 8 bits ONNX knows no other ends than int8 has."""
        return integer_range(8) if self.weight_bits == 8 else self.limits

    def clipped(self) -> Tensor:
        """The real weight, what is beyond its range at the ends of that."""
        shape = beside(self.weight_scale, self.weight)
        scale = self.weight_scale.view(shape)
        zero_point = self.weight_zero_point.view(shape)
        low, high = ((limit - zero_point) * scale for limit in self.limits)
        return self.weight.detach().clamp(low, high)

    def rescale(self, factor: Tensor) -> None:
        """Follow a weight that was multiplied by a factor of every output channel, (outputs,)."""
        scale = self.weight_scale * factor.abs()
        # Of powers of two the next.
        self.weight_scale = allowed_scale(scale.clamp_min(SMALLEST_SCALE), self.scheme)
        # Turned round, the lowest number becomes the highest.
        turned = sum(self.limits) - self.weight_zero_point
        self.weight_zero_point = torch.where(factor < 0, turned, self.weight_zero_point)

    def integers(self) -> Tensor:
        """The weight as it is stored, int8 (outputs, …)."""
        weight = self.weight.detach()
        shape = beside(self.weight_scale, weight)
        scale = self.weight_scale.view(shape)
        zero_point = self.weight_zero_point.view(shape)

        # The zero point is added after rounding, as fake quantization does it.
        steps = torch.round(weight / scale)
        whole = steps + zero_point

        low, high = self._ends
        clipped = whole.clamp(low, high)
        return clipped.to(torch.int8).contiguous()


class QuantizedConv1d(QuantizedWeight, nn.Conv1d):
    """Convolution with a rounded weight."""

    def forward(self, x: Tensor) -> Tensor:
        """Output, not rounded."""
        if self.bias is None or not self.scheme.powers_of_two:
            return self._conv_forward(x, self.rounded(), self.bias)
        ones = [1] * len(self.kernel_size)
        return self._conv_forward(x, self.rounded(), None) + self.bias.view(-1, *ones)


class QuantizedConv2d(QuantizedWeight, nn.Conv2d):
    """Convolution with a rounded weight."""

    def forward(self, x: Tensor) -> Tensor:
        """Output, not rounded."""
        if self.bias is None or not self.scheme.powers_of_two:
            return self._conv_forward(x, self.rounded(), self.bias)
        ones = [1] * len(self.kernel_size)
        return self._conv_forward(x, self.rounded(), None) + self.bias.view(-1, *ones)


class QuantizedLinear(QuantizedWeight, nn.Linear):
    """Linear layer with a rounded weight."""

    def forward(self, x: Tensor) -> Tensor:
        """Output, not rounded."""
        if self.bias is None or not self.scheme.powers_of_two:
            return nn.functional.linear(x, self.rounded(), self.bias)
        return nn.functional.linear(x, self.rounded()) + self.bias


_QUANTIZED_FORM: dict[type[nn.Module], type[nn.Module]] = {
    nn.Conv1d: QuantizedConv1d,
    nn.Conv2d: QuantizedConv2d,
    nn.Linear: QuantizedLinear,
}
_PLAIN_FORM = {quantized: plain for plain, quantized in _QUANTIZED_FORM.items()}


def with_rounded_weight(layer: nn.Module, bits: int, scheme: Scheme) -> nn.Module:
    """A layer like ``layer`` (whose tensors it shares) with its weight at ``bits``.

    Ranges are per output channel, and just hold the weight.
    """
    weight = weight_of(layer).detach()
    scale, zero_point = whole_range(weight, bits, scheme)

    kind = _QUANTIZED_FORM[type(layer)]
    new = _as_kind(layer, kind)
    new.register_buffer("weight_scale", scale)
    new.register_buffer("weight_zero_point", zero_point)
    new.register_parameter("growth", None)

    # It is a module and has a rounded weight; a type can only say one of both.
    quantized = cast("QuantizedWeight", new)
    quantized.weight_bits = bits
    quantized.scheme = scheme
    return new


def rounded_once(layer: nn.Module) -> nn.Module:
    """A plain layer with the weight of a `QuantizedWeight`, rounded for good."""
    assert isinstance(layer, QuantizedWeight)
    rounded = layer.rounded().detach()

    kind = _PLAIN_FORM[type(layer)]
    plain = _as_kind(layer, kind)
    del plain._buffers["weight_scale"]
    del plain._buffers["weight_zero_point"]
    del plain._parameters["growth"]
    plain._parameters["weight"] = nn.Parameter(rounded, requires_grad=False)
    return plain


def is_quantized(network: nn.Module) -> bool:
    """Whether anything in a network is rounded."""
    rounding = (ActivationQuantizer, QuantizedWeight)
    return any(isinstance(module, rounding) for module in network.modules())


def sums_exactly(network: nn.Module) -> bool:
    """Whether all that is rounded in a network is so in steps of powers of two, and something is.

    Its sums are exact in floating point then, in whatever order they are taken.
    """
    rounding = (ActivationQuantizer, QuantizedWeight)
    found = [module for module in network.modules() if isinstance(module, rounding)]
    return bool(found) and all(module.scheme.powers_of_two for module in found)


def can_be_quantized(layer: nn.Module) -> bool:
    """Whether there is a quantized form of this kind of layer."""
    return type(layer) in _QUANTIZED_FORM


def _as_kind(layer: nn.Module, kind: type[nn.Module]) -> nn.Module:
    """A module of another kind with the attributes and tensors of ``layer``."""
    # Its constructor would draw weights that are thrown away.
    new: nn.Module = object.__new__(kind)
    new.__dict__.update(layer.__dict__)
    new._parameters = dict(layer._parameters)
    new._buffers = dict(layer._buffers)
    return new
