"""Modules that round as the target will: fake quantization with a straight-through gradient.

A number x at b bits is (q − z) · s with q a whole number of b bits, s the scale and z the zero
point (Galen's scheme in the form runtimes use; Jacob et al. 2018, eq. 1). Gradients pass the
rounding unchanged and stop where values are clipped.
"""

from __future__ import annotations

from typing import cast

import torch
from torch import Tensor, nn

from sartor.compression.modules import weight_of
from sartor.compression.quantizing._ranges import SMALLEST_SCALE
from sartor.compression.quantizing._scheme import Scheme


class ActivationQuantizer(nn.Module):
    """Rounds a tensor to ``bits`` unsigned bits with one scale and zero point.

    ``low`` and ``high`` are what is to be represented; zero always is, exactly.

    >>> ActivationQuantizer(2, low=0.0, high=3.0)(torch.tensor([-1.0, 1.2, 9.0]))
    tensor([0., 1., 3.])
    """

    scale: Tensor
    zero_point: Tensor

    def __init__(self, bits: int, low: float, high: float) -> None:
        super().__init__()
        self.bits = bits
        # zero must be exact: padding is made of it
        low = min(low, 0.0)
        high = max(high, 0.0)
        scale = max((high - low) / (2**bits - 1), SMALLEST_SCALE)
        zero_point = round(-low / scale)
        self.register_buffer("scale", torch.tensor(scale))
        self.register_buffer("zero_point", torch.tensor(zero_point, dtype=torch.int32))

    def forward(self, x: Tensor) -> Tensor:
        """The rounded tensor, in float32."""
        largest = 2**self.bits - 1
        return torch.fake_quantize_per_tensor_affine(x, self.scale, self.zero_point, 0, largest)


class QuantizedWeight:
    """A layer whose weight is rounded per output channel whenever it is used.

    ``weight`` stays the real one.
    """

    weight: Tensor
    weight_scale: Tensor
    weight_zero_point: Tensor
    weight_bits: int
    scheme: Scheme
    training: bool

    def fit(self) -> None:
        """Set the range of every output channel by the weight it now has."""
        scale, zero_point = _scale_and_zero(self.weight.detach(), self.weight_bits, self.scheme)
        self.weight_scale.copy_(scale)
        self.weight_zero_point.copy_(zero_point)

    def rounded(self) -> Tensor:
        """The weight as the target holds it; ranges follow it while it is trained."""
        if self.training:
            self.fit()
        low, high = _integer_range(self.weight_bits)
        return torch.fake_quantize_per_channel_affine(
            self.weight, self.weight_scale, self.weight_zero_point, 0, low, high
        )

    def integers(self) -> Tensor:
        """The weight as it is stored, int8 (outputs, …)."""
        per_output = (-1, *[1] * (self.weight.dim() - 1))
        scale = self.weight_scale.reshape(per_output)
        zero_point = self.weight_zero_point.reshape(per_output)
        whole = torch.round(self.weight.detach() / scale) + zero_point
        low, high = _integer_range(self.weight_bits)
        return whole.clamp(low, high).to(torch.int8).contiguous()


class QuantizedConv1d(QuantizedWeight, nn.Conv1d):
    """Convolution with a rounded weight."""

    def forward(self, x: Tensor) -> Tensor:
        """Output, not rounded."""
        return self._conv_forward(x, self.rounded(), self.bias)


class QuantizedConv2d(QuantizedWeight, nn.Conv2d):
    """Convolution with a rounded weight."""

    def forward(self, x: Tensor) -> Tensor:
        """Output, not rounded."""
        return self._conv_forward(x, self.rounded(), self.bias)


class QuantizedLinear(QuantizedWeight, nn.Linear):
    """Linear layer with a rounded weight."""

    def forward(self, x: Tensor) -> Tensor:
        """Output, not rounded."""
        return nn.functional.linear(x, self.rounded(), self.bias)


_QUANTIZED_FORM: dict[type[nn.Module], type[nn.Module]] = {
    nn.Conv1d: QuantizedConv1d,
    nn.Conv2d: QuantizedConv2d,
    nn.Linear: QuantizedLinear,
}
_PLAIN_FORM = {quantized: plain for plain, quantized in _QUANTIZED_FORM.items()}


def with_rounded_weight(layer: nn.Module, bits: int, scheme: Scheme) -> nn.Module:
    """A layer like ``layer`` (whose tensors it shares) with its weight at ``bits``.

    Ranges are per output channel.
    """
    scale, zero_point = _scale_and_zero(weight_of(layer).detach(), bits, scheme)
    new = _as_kind(layer, _QUANTIZED_FORM[type(layer)])
    new.register_buffer("weight_scale", scale)
    new.register_buffer("weight_zero_point", zero_point)
    quantized = cast("QuantizedWeight", new)
    quantized.weight_bits = bits
    quantized.scheme = scheme
    return new


def rounded_once(layer: nn.Module) -> nn.Module:
    """A plain layer with the weight of a `QuantizedWeight`, rounded for good."""
    assert isinstance(layer, QuantizedWeight)
    plain = _as_kind(layer, _PLAIN_FORM[type(layer)])
    del plain._buffers["weight_scale"]
    del plain._buffers["weight_zero_point"]
    plain._parameters["weight"] = nn.Parameter(layer.rounded().detach(), requires_grad=False)
    return plain


def is_quantized(network: nn.Module) -> bool:
    """Whether anything in a network is rounded."""
    rounding = (ActivationQuantizer, QuantizedWeight)
    return any(isinstance(module, rounding) for module in network.modules())


def can_be_quantized(layer: nn.Module) -> bool:
    """Whether there is a quantized form of this kind of layer."""
    return type(layer) in _QUANTIZED_FORM


def _as_kind(layer: nn.Module, kind: type[nn.Module]) -> nn.Module:
    """A module of another kind with the attributes and tensors of ``layer``."""
    new: nn.Module = object.__new__(kind)
    new.__dict__.update(layer.__dict__)
    new._parameters = dict(layer._parameters)
    new._buffers = dict(layer._buffers)
    return new


def _integer_range(bits: int) -> tuple[int, int]:
    """Lowest and highest signed integer of so many bits."""
    half = 2 ** (bits - 1)
    return -half, half - 1


def _scale_and_zero(weight: Tensor, bits: int, scheme: Scheme) -> tuple[Tensor, Tensor]:
    """Scale and zero point of every output channel."""
    flat = weight.flatten(1)
    # one bit has no number beside zero that is symmetric to another
    if scheme.symmetric_weights and bits > 1:
        scale = flat.abs().amax(1) / scheme.largest_weight(bits)
        return scale.clamp_min(SMALLEST_SCALE), torch.zeros(len(flat), dtype=torch.int32)
    lowest, highest = _integer_range(bits)
    low = flat.amin(1).clamp_max(0)
    high = flat.amax(1).clamp_min(0)
    step = (high - low) / (2**bits - 1)
    scale = step.clamp_min(SMALLEST_SCALE)
    nearest = (lowest - low / scale).round()
    zero_point = nearest.clamp(lowest, highest)
    return scale, zero_point.to(torch.int32)
