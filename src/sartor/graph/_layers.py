"""Static facts of a traced network: layers, slots, groups."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, get_args

import numpy as np
from torch import nn

from sartor.machine import IntArray

#: Modules that have weights to compress, as a type and one by one.
Layer = nn.Linear | nn.Conv1d | nn.Conv2d | nn.Conv3d
LAYERS: tuple[type[nn.Module], ...] = get_args(Layer)

#: The unit of a channel that is never removed. Units of prunable channels are 0, 1, 2, …
KEPT = -1


@dataclass(frozen=True)
class LayerSpec:
    """A Conv or Linear module and the facts that never change while it is compressed.

    ``positions`` is the number of output positions a weight is applied to for one example (output height × width of a
    convolution; 1 for a linear layer on a vector), summed over all calls of the module; those that the network folds into the
    batch, such as windows of attention, among them.
    """

    name: str
    kind: Literal["conv", "depthwise", "linear"]
    in_channels: int
    out_channels: int
    kernel: tuple[int, ...]
    stride: tuple[int, ...]
    dilation: tuple[int, ...]
    groups: int
    input_size: tuple[int, ...]
    output_size: tuple[int, ...]
    positions: int
    has_bias: bool

    @classmethod
    def of(
        cls, name: str, module: Layer, entering: tuple[int, ...], leaving: Sequence[tuple[int, ...]]
    ) -> LayerSpec:
        """The facts of a module, from the shape that enters its first call and those that leave every call, the batch first."""
        linear = isinstance(module, nn.Linear)
        inside, *outside = (shape[1:-1] if linear else shape[2:] for shape in (entering, *leaving))
        positions = sum(
            shape[0] * int(np.prod(side)) for shape, side in zip(leaving, outside, strict=True)
        )
        has_bias = module.bias is not None
        if isinstance(module, nn.Linear):
            one = (1,)
            return cls(
                name,
                "linear",
                module.in_features,
                module.out_features,
                one,
                one,
                one,
                1,
                inside,
                outside[0],
                positions,
                has_bias,
            )
        depthwise = module.groups > 1 and module.groups == module.in_channels
        return cls(
            name,
            "depthwise" if depthwise else "conv",
            module.in_channels,
            module.out_channels,
            tuple(module.kernel_size),
            tuple(module.stride),
            tuple(module.dilation),
            module.groups,
            inside,
            outside[0],
            positions,
            has_bias,
        )

    @property
    def calls(self) -> float:
        """How often the module is called, counted in calls like the first."""
        return self.positions / float(np.prod(self.output_size))

    @property
    def padding(self) -> tuple[int, ...]:
        """Zeros on each side of a convolution's input, as far as they change the size of its output; empty for a linear layer."""
        if self.kind == "linear":
            return ()
        sides = zip(
            self.kernel, self.stride, self.dilation, self.input_size, self.output_size, strict=True
        )
        missing = [
            (out - 1) * step + wide * (window - 1) + 1 - side
            for window, step, wide, side, out in sides
        ]
        return tuple(max(0, -(-number // 2)) for number in missing)

    @property
    def macs(self) -> int:
        """Multiply-accumulates for a batch of one; the bias is not counted."""
        return self.positions * self.weights

    @property
    def weights(self) -> int:
        """Number of weights, without the bias."""
        return self.out_channels * (self.in_channels // self.groups) * int(np.prod(self.kernel))


@dataclass(frozen=True, eq=False)
class Slot:
    """A module whose tensors have channels: which unit each input and each output channel belongs to (or ``KEPT``).

    ``select_dim`` is the channel axis of a `ChannelSelect`.
    """

    name: str
    kind: Literal["layer", "norm", "select"]
    in_units: IntArray
    out_units: IntArray
    select_dim: int = 1


@dataclass(frozen=True, eq=False)
class Group:
    """Units removed alike: each removes the same number of channels from the same layers, so only their count matters.

    ``units`` are the unit numbers; ``size`` of them can be kept at most, 1 at least. ``producers`` and ``consumers`` name
    the layers whose outputs and inputs shrink.
    """

    name: str
    units: IntArray
    producers: tuple[str, ...]
    consumers: tuple[str, ...]

    @property
    def size(self) -> int:
        """Number of units."""
        return len(self.units)


@dataclass(frozen=True)
class KeptWhole:
    """Output channels of a layer that are never removed, and why."""

    layer: str
    channels: int
    reason: str
