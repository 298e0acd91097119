"""Engines: what a layer of a network becomes on an FPGA, for any channels and bits of it."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Self

from sartor.errors import UsageError
from sartor.graph import LayerSpec

#: Bits of what is not quantized: no engine computes with floats.
FINEST = 8
#: Fewest bits: symmetric weights of one bit would all be zero.
COARSEST = 2


@dataclass(frozen=True)
class Shape:
    """What a policy leaves of a layer.

    Attributes:
        inputs: Channels that it reads.
        outputs: Channels that it writes.
        weight_bits: Of its weights.
        activation_bits: Of what it reads.
    """

    inputs: int
    outputs: int
    weight_bits: int
    activation_bits: int


@dataclass(frozen=True)
class Engine:
    """The unit that computes one layer, and the sliding window in front of it.

    Attributes:
        depthwise: Whether each output channel reads one input channel alone.
        kernel: Height and width of the window; (1, 1) of a linear layer.
        stride: Step of the window.
        input_rows: Height of the padded input.
        input_columns: Its width.
        rows: Height of the output.
        columns: Its width.
        repeats: How often all of it is computed for one example.
        window: Whether there is a sliding window: not of a linear layer, nor of 1 × 1.
        rounds: Whether a unit in front of it rounds what it reads; the host does so with inputs of
            the network.
    """

    depthwise: bool
    kernel: tuple[int, int]
    stride: int
    input_rows: int
    input_columns: int
    rows: int
    columns: int
    repeats: int
    window: bool
    rounds: bool

    @classmethod
    def of(cls, layer: LayerSpec, *, rounds: bool = True) -> Self:
        """The engine of a layer. Raises `UsageError` for one that there is none for."""
        grouped = layer.groups > 1 and layer.kind != "depthwise"
        if grouped or len(layer.kernel) > 2:
            what = f"in {layer.groups} groups" if grouped else f"over {len(layer.kernel)} axes"
            raise UsageError(
                f"target fpga has no engine for layer {layer.name!r}, a convolution {what}; it has "
                "those of convolutions over one or two axes, depthwise ones and linear layers"
            )
        if any(step != 1 for step in layer.dilation):
            raise UsageError(
                f"target fpga has no engine for layer {layer.name!r}, whose window is dilated by "
                f"{max(layer.dilation)}; allowed is 1"
            )

        padding = layer.padding or (0,) * len(layer.input_size)
        padded = [size + 2 * pad for size, pad in zip(layer.input_size, padding, strict=True)]
        # A linear layer may have any number of positions, which follow each other.
        sizes = layer.output_size if layer.kind != "linear" else (math.prod(layer.output_size),)
        entered = padded if layer.kind != "linear" else list(sizes)
        rows, columns = _two(sizes)
        input_rows, input_columns = _two(entered)
        return cls(
            depthwise=layer.kind == "depthwise",
            kernel=_two(layer.kernel),
            stride=layer.stride[-1],
            input_rows=input_rows,
            input_columns=input_columns,
            rows=rows,
            columns=columns,
            repeats=round(layer.positions / (rows * columns)),
            window=math.prod(layer.kernel) > 1,
            rounds=rounds,
        )

    @property
    def taps(self) -> int:
        """Places of the window."""
        return math.prod(self.kernel)

    @property
    def pixels(self) -> int:
        """Places of the output that are computed for one example."""
        return self.rows * self.columns * self.repeats


def _two(sizes: tuple[int, ...] | list[int]) -> tuple[int, int]:
    """Height and width; what has one axis is a row of it, or a column where rows follow."""
    if not sizes:
        return 1, 1
    if len(sizes) == 1:
        return sizes[0], 1
    return sizes[0], sizes[1]
