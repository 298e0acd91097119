"""Static facts of a traced network: layers, slots, groups."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Literal, get_args

import numpy as np
from torch import nn

from sartor.machine import BoolArray, IntArray

#: Modules that have weights to compress, as a type and one by one.
Layer = nn.Linear | nn.Conv1d | nn.Conv2d | nn.Conv3d
LAYERS: tuple[type[nn.Module], ...] = get_args(Layer)

#: Norms over the last axis.
OVER_LAST_AXIS = (nn.LayerNorm, nn.RMSNorm)

#: The unit of a channel that is never removed. Units of prunable channels are 0, 1, 2, …
KEPT = -1

#: Of channels that belong to no heads: the same for any number of them.
NO_HEADS: IntArray = np.array(KEPT)

Shape = tuple[int, ...]


@dataclass(frozen=True)
class LayerSpec:
    """A Conv or Linear module and the facts that never change while it is compressed.

    >>> import torch
    >>> conv = torch.nn.Conv2d(3, 8, 3, padding=1)
    >>> layer = LayerSpec.of("stem", conv, (1, 3, 32, 32), [(1, 8, 32, 32)])
    >>> layer.kind, layer.weights, layer.macs
    ('conv', 216, 221184)

    Attributes:
        name: Of the module in the network.
        kind: A convolution with one filter per input channel is ``depthwise``.
        in_channels: Channels (or features) that it reads.
        out_channels: Channels (or features) that it writes.
        kernel: Size of the window along each axis; (1,) for a linear layer, and so for the next.
        stride: Step of the window along each axis.
        dilation: Distance of the window's taps along each axis.
        groups: Groups of channels that are convolved apart.
        input_size: Height and width (or whatever axes there are) of what enters its first call.
        output_size: The same of what leaves it.
        positions: Output positions that a weight is applied to for one example (output height ×
            width of a convolution; 1 for a linear layer on a vector), summed over all calls; those
            that the network folds into the batch, such as windows of attention, among them.
        has_bias: Whether it adds a number per output channel.

    """

    name: str
    kind: Literal["conv", "depthwise", "linear"]
    in_channels: int
    out_channels: int
    kernel: Shape
    stride: Shape
    dilation: Shape
    groups: int
    input_size: Shape
    output_size: Shape
    positions: int
    has_bias: bool

    @classmethod
    def of(cls, name: str, module: Layer, entering: Shape, leaving: Sequence[Shape]) -> LayerSpec:
        """The facts of a module.

        From the shape that enters its first call and those that leave every call, the batch first.
        """
        if isinstance(module, nn.Linear):
            return cls._of_linear(name, module, entering, leaving)

        sizes = [shape[2:] for shape in leaving]
        depthwise = module.groups > 1 and module.groups == module.in_channels
        return cls(
            name=name,
            kind="depthwise" if depthwise else "conv",
            in_channels=module.in_channels,
            out_channels=module.out_channels,
            kernel=tuple(module.kernel_size),
            stride=tuple(module.stride),
            dilation=tuple(module.dilation),
            groups=module.groups,
            input_size=entering[2:],
            output_size=sizes[0],
            positions=_positions(leaving, sizes),
            has_bias=module.bias is not None,
        )

    @classmethod
    def _of_linear(
        cls, name: str, module: nn.Linear, entering: Shape, leaving: Sequence[Shape]
    ) -> LayerSpec:
        # Features are last; what lies between them and the batch are positions.
        sizes = [shape[1:-1] for shape in leaving]
        return cls(
            name=name,
            kind="linear",
            in_channels=module.in_features,
            out_channels=module.out_features,
            kernel=(1,),
            stride=(1,),
            dilation=(1,),
            groups=1,
            input_size=entering[1:-1],
            output_size=sizes[0],
            positions=_positions(leaving, sizes),
            has_bias=module.bias is not None,
        )

    @property
    def calls(self) -> float:
        """How often the module is called, counted in calls like the first."""
        return self.positions / float(math.prod(self.output_size))

    @property
    def padding(self) -> Shape:
        """Zeros on each side of a convolution's input, as far as they change its output's size.

        Empty for a linear layer.
        """
        if self.kind == "linear":
            return ()

        padding = []
        for axis, before in enumerate(self.input_size):
            taps = self.kernel[axis] - 1
            window = self.dilation[axis] * taps + 1

            steps = self.output_size[axis] - 1
            reach = steps * self.stride[axis] + window

            # What the last window reaches beyond the input lies on both sides of it.
            beyond = reach - before
            half = math.ceil(beyond / 2)
            padding.append(max(0, half))

        return tuple(padding)

    @property
    def macs(self) -> int:
        """Multiply-accumulates for a batch of one; the bias is not counted."""
        return self.positions * self.weights

    @property
    def weights(self) -> int:
        """Number of weights, without the bias."""
        taps = math.prod(self.kernel)
        channels_of_a_group = self.in_channels // self.groups
        return self.out_channels * channels_of_a_group * taps


def _positions(leaving: Sequence[Shape], sizes: Sequence[Shape]) -> int:
    """Output positions of all calls; what was folded into the batch counts."""
    total = 0
    for shape, size in zip(leaving, sizes, strict=True):
        batch = shape[0]
        total += batch * math.prod(size)
    return total


@dataclass(frozen=True, eq=False)
class Slot:
    """A module whose tensors have channels, and the units that each of them belongs to.

    A channel of attention has a place in the width of a head, and a head: it goes if either does.

    >>> slot = Slot("fc", "layer", np.array([0, 0, 1, KEPT]), np.array([2, 3]))
    >>> slot.incoming(np.array([False, True, True, True]))
    array([2, 3])

    Attributes:
        name: Of the module in the network.
        kind: What it is; a ``select`` is a `ChannelSelect`, a ``resize`` a `Resize`.
        in_units: Unit of each input channel, or `KEPT`; none of an embedding.
        out_units: Unit of each output channel, or `KEPT`; of a `Resize` those of all elements, in
            as many axes, with a size of one where they do not vary.
        in_heads: Unit of the head that each input channel belongs to, or `KEPT`.
        out_heads: The same of each output channel.
        select_dim: The channel axis of a `ChannelSelect`.
        per_channel: The module's parameters and buffers that have one entry (or one row) for each
            output channel, by name.

    """

    name: str
    kind: Literal["layer", "norm", "embedding", "select", "resize"]
    in_units: IntArray
    out_units: IntArray
    in_heads: IntArray = field(default_factory=lambda: NO_HEADS)
    out_heads: IntArray = field(default_factory=lambda: NO_HEADS)
    select_dim: int = 1
    per_channel: tuple[str, ...] = ()

    def incoming(self, kept: BoolArray) -> IntArray:
        """Indices of the input channels that stay; ``kept`` has one flag per unit."""
        return np.flatnonzero(_stay(self.in_units, self.in_heads, kept))

    def outgoing(self, kept: BoolArray) -> IntArray:
        """Indices of the output channels that stay; ``kept`` has one flag per unit."""
        return np.flatnonzero(self.stays(kept))

    def stays(self, kept: BoolArray) -> BoolArray:
        """Whether each output channel stays, or of a `Resize` each element."""
        return _stay(self.out_units, self.out_heads, kept)


def _stay(units: IntArray, heads: IntArray, kept: BoolArray) -> BoolArray:
    # The unit KEPT is −1: the last.
    stays = np.append(kept, True)
    return np.logical_and(stays[units], stays[heads])


@dataclass(frozen=True, eq=False)
class Product:
    """A product of activations, whose cost is linear in the channels that are left.

    Attributes:
        name: Of its node in the graph.
        units: Unit of each channel, or `KEPT`.
        heads: Unit of the head that each channel belongs to, or `KEPT`.
        macs: Multiply-accumulates for each of them, for a batch of one.
    """

    name: str
    units: IntArray
    heads: IntArray
    macs: float


@dataclass(frozen=True, eq=False)
class Group:
    """Units removed alike, each with as many channels of the same layers: only their count matters.

    Attributes:
        name: The first layer that makes its channels, with ``#2`` and so on for further groups; of
            heads with ``#heads``.
        units: The unit numbers.
        producers: Layers whose outputs shrink.
        consumers: Layers whose inputs shrink; none of queries and keys, which only meet each other.
        of_heads: Whether a unit is a whole head of attention.

    """

    name: str
    units: IntArray
    producers: tuple[str, ...]
    consumers: tuple[str, ...]
    of_heads: bool = False

    @property
    def size(self) -> int:
        """Number of units: so many can be kept at most, 1 at least."""
        return len(self.units)

    @property
    def ends(self) -> tuple[str, ...]:
        """Layers that show what its channels matter: those that read them, if there are any."""
        return self.consumers or self.producers


@dataclass(frozen=True)
class KeptWhole:
    """Output channels of a layer that are never removed, and why.

    Attributes:
        layer: Name of the layer.
        channels: How many of its output channels.
        reason: A clause, such as ``network output``.

    """

    layer: str
    channels: int
    reason: str
