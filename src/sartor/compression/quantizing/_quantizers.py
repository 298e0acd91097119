"""Modules that round as the target will: fake quantization with a straight-through gradient.

A number x at b bits is (q − z) · s with q a whole number of b bits, s the scale and z the zero point (Galen's scheme in the
form runtimes use; Jacob et al. 2018, eq. 1). Gradients pass the rounding unchanged and stop where values are clipped.
"""

from __future__ import annotations

from typing import cast

import torch
from torch import Tensor, nn

from sartor.compression.modules import weight_of
from sartor.compression.quantizing._scheme import Scheme


class ActivationQuantizer(nn.Module):
    """Rounds a tensor to ``bits`` unsigned bits with one scale and zero point."""

    scale: Tensor
    zero_point: Tensor

    def __init__(self, bits: int, low: float, high: float) -> None:
        super().__init__()
        self.bits = bits
        low, high = min(low, 0.0), max(high, 0.0)  # zero must be exact: padding is made of it
        scale = max((high - low) / (2**bits - 1), 1e-12)
        self.register_buffer("scale", torch.tensor(scale))
        self.register_buffer("zero_point", torch.tensor(round(-low / scale), dtype=torch.int32))

    def forward(self, x: Tensor) -> Tensor:
        """The rounded tensor, in float32."""
        return torch.fake_quantize_per_tensor_affine(
            x, self.scale, self.zero_point, 0, 2**self.bits - 1
        )


class QuantizedWeight:
    """A layer whose weight is rounded per output channel whenever it is used; ``weight`` stays the real one."""

    weight: Tensor
    weight_scale: Tensor
    weight_zero_point: Tensor
    weight_bits: int
    scheme: Scheme
    training: bool

    def fit(self) -> None:
        """Set the range of every output channel by the weight it now has."""
        scale, zero_point = _weight_range(self.weight.detach(), self.weight_bits, self.scheme)
        self.weight_scale.copy_(scale)
        self.weight_zero_point.copy_(zero_point)

    def rounded(self) -> Tensor:
        """The weight as the target holds it; ranges follow it while it is trained."""
        if self.training:
            self.fit()
        half = 2 ** (self.weight_bits - 1)
        return torch.fake_quantize_per_channel_affine(
            self.weight, self.weight_scale, self.weight_zero_point, 0, -half, half - 1
        )

    def integers(self) -> Tensor:
        """The weight as it is stored, int8 (outputs, …)."""
        half, shape = 2 ** (self.weight_bits - 1), (-1, *[1] * (self.weight.dim() - 1))
        shifted = torch.round(
            self.weight.detach() / self.weight_scale.reshape(shape)
        ) + self.weight_zero_point.reshape(shape)
        return shifted.clamp(-half, half - 1).to(torch.int8).contiguous()


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


_KINDS: dict[type[nn.Module], type[nn.Module]] = {
    nn.Conv1d: QuantizedConv1d,
    nn.Conv2d: QuantizedConv2d,
    nn.Linear: QuantizedLinear,
}


def with_rounded_weight(layer: nn.Module, bits: int, scheme: Scheme) -> nn.Module:
    """A layer like ``layer`` (whose tensors it shares) with its weight at ``bits``, ranges per output channel."""
    scale, zero_point = _weight_range(weight_of(layer).detach(), bits, scheme)
    new: nn.Module = object.__new__(_KINDS[type(layer)])
    new.__dict__.update(layer.__dict__)
    new._parameters, new._buffers = dict(layer._parameters), dict(layer._buffers)
    new.register_buffer("weight_scale", scale)
    new.register_buffer("weight_zero_point", zero_point)
    cast("QuantizedWeight", new).weight_bits, cast("QuantizedWeight", new).scheme = bits, scheme
    return new


def _weight_range(weight: Tensor, bits: int, scheme: Scheme) -> tuple[Tensor, Tensor]:
    """Scale and zero point of every output channel."""
    flat = weight.flatten(1)
    half = 2 ** (bits - 1)
    if scheme.symmetric_weights and bits > 1:
        scale = flat.abs().amax(1) / scheme.largest_weight(bits)
        return scale.clamp_min(1e-12), torch.zeros(len(flat), dtype=torch.int32)
    low, high = flat.amin(1).clamp_max(0), flat.amax(1).clamp_min(0)
    scale = ((high - low) / (2**bits - 1)).clamp_min(1e-12)
    return scale, (-half - low / scale).round().clamp(-half, half - 1).to(torch.int32)


def rounded_once(layer: nn.Module) -> nn.Module:
    """A plain layer whose weight is that of a layer with a rounded weight, rounded for good."""
    assert isinstance(layer, QuantizedWeight)
    plain: nn.Module = object.__new__(
        next(kind for kind, rounding in _KINDS.items() if type(layer) is rounding)
    )
    plain.__dict__.update(layer.__dict__)
    plain._parameters, plain._buffers = dict(layer._parameters), {}
    plain._parameters["weight"] = nn.Parameter(layer.rounded().detach(), requires_grad=False)
    return plain


def is_quantized(network: nn.Module) -> bool:
    """Whether anything in a network is rounded."""
    return any(
        isinstance(module, (ActivationQuantizer, QuantizedWeight)) for module in network.modules()
    )


def can_be_quantized(layer: nn.Module) -> bool:
    """Whether there is a quantized form of this kind of layer."""
    return type(layer) in _KINDS
