"""What a layer is in a table of latencies, and how its entries are called."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Self

import numpy as np

from sartor.graph import LayerSpec
from sartor.machine import FloatArray
from sartor.policy import WIDTHS

_KEY = re.compile(
    r"^(?P<kind>conv|depthwise|linear) (?P<inputs>\d+)->(?P<outputs>\d+)"
    r" kernel (?P<kernel>[\dx]+) stride (?P<stride>[\dx]+)"
    r"(?: dilation (?P<dilation>[\dx]+))?(?: padding (?P<padding>[\dx]+))?"
    r"(?: groups (?P<groups>\d+))? on (?P<size>[\dx]+)"
    r" at (?P<weights>\d+)/(?P<activations>\d+) bits$"
)
_LENGTHS = re.compile(r"\d+(x\d+)*")
#: Parts of a key that are lengths, and the least that they may be.
_LEAST = {
    "inputs": 1,
    "outputs": 1,
    "kernel": 1,
    "stride": 1,
    "dilation": 1,
    "padding": 0,
    "groups": 1,
    "size": 1,
}


@dataclass(frozen=True)
class LayerShape:
    """What a layer is, but for its channels; lengths are joined by ``x``.

    Attributes:
        kind: conv, depthwise or linear.
        kernel: Lengths of the window, 1 for a linear layer.
        stride: Of the window, 1 for a linear layer.
        size: Of the input, without channels; 1 for a linear layer on one vector.
        bits: Of weights and of inputs.
        groups: Of channels, 1 for a depthwise layer.
        dilation: Empty where it is 1.
        padding: Empty where it is what keeps the size at stride 1.

    >>> shape, width_in, width_out = parse_key(
    ...     "conv 16->32 kernel 3x3 stride 1x1 on 8x8 at 8/8 bits"
    ... )
    >>> shape.numbers(width_in, width_out).tolist()
    [1024.0, 2048.0]
    """

    kind: str
    kernel: str
    stride: str
    size: str
    bits: tuple[int, int]
    groups: int = 1
    dilation: str = ""
    padding: str = ""

    @classmethod
    def of(cls, layer: LayerSpec, bits: tuple[int, int]) -> Self:
        """What a layer of a network is."""
        # what is usual is left out of keys, which people type as well
        dilation = ""
        if max(layer.dilation) > 1:
            dilation = _joined(layer.dilation)

        padding = ""
        usual = _usual_padding(layer.kernel, layer.dilation)
        if layer.padding not in ((), usual):
            padding = _joined(layer.padding)

        return cls(
            kind=layer.kind,
            kernel=_joined(layer.kernel),
            stride=_joined(layer.stride),
            size=_joined(layer.input_size),
            bits=bits,
            groups=1 if layer.kind == "depthwise" else layer.groups,
            dilation=dilation,
            padding=padding,
        )

    def key(self, width_in: int, width_out: int) -> str:
        """The name of an entry of a table."""
        words = [f"{self.kind} {width_in}->{width_out}"]
        words.append(f"kernel {self.kernel}")
        words.append(f"stride {self.stride}")

        if self.dilation:
            words.append(f"dilation {self.dilation}")
        if self.padding:
            words.append(f"padding {self.padding}")
        if self.groups > 1:
            words.append(f"groups {self.groups}")

        weights, activations = self.bits
        words.append(f"on {self.size}")
        words.append(f"at {weights}/{activations} bits")
        return " ".join(words)

    def numbers(self, width_in: int, width_out: int) -> FloatArray:
        """How many numbers a layer of so many channels reads, and how many it writes."""
        size: Sequence[int] = _lengths(self.size)
        leaving = size
        if self.kind != "linear":
            leaving = self._output_size()

        positions_in = np.prod(size)
        positions_out = np.prod(leaving)
        reads = width_in * positions_in
        writes = width_out * positions_out
        return np.array([reads, writes], dtype=np.float64)

    def _output_size(self) -> list[int]:
        """Lengths of what a convolution writes."""
        size = _lengths(self.size)
        kernel = _lengths(self.kernel)
        stride = _lengths(self.stride)

        dilation = (1,) * len(size)
        if self.dilation:
            dilation = _lengths(self.dilation)

        padding = _usual_padding(kernel, dilation)
        if self.padding:
            padding = _lengths(self.padding)

        leaving = []
        for axis, side in enumerate(size):
            padded = side + 2 * padding[axis]
            covered = dilation[axis] * (kernel[axis] - 1) + 1

            # the window stands at the start, and then as far as whole steps go
            steps = (padded - covered) // stride[axis]
            leaving.append(steps + 1)

        return leaving


def parse_key(key: str) -> tuple[LayerShape, int, int] | None:
    """Shape, input and output channels of an entry.

    None for entries that are not of single layers, or whose lengths do not go together. Raises
    `ValueError` for lengths or bits that no layer has.
    """
    found = _KEY.match(key)
    if found is None:
        return None

    parts = found.groupdict("")
    _require_lengths(parts)
    bits = (int(parts["weights"]), int(parts["activations"]))
    _require_widths(bits)

    shape = LayerShape(
        kind=parts["kind"],
        kernel=parts["kernel"],
        stride=parts["stride"],
        size=parts["size"],
        bits=bits,
        groups=int(parts["groups"] or 1),
        dilation=parts["dilation"],
        padding=parts["padding"],
    )
    if shape.kind != "linear" and not _same_dimensions(shape):
        return None

    width_in = int(parts["inputs"])
    width_out = int(parts["outputs"])
    return shape, width_in, width_out


def _require_widths(bits: tuple[int, int]) -> None:
    weights, activations = bits
    if weights not in WIDTHS or activations not in WIDTHS:
        raise ValueError(f"{weights}/{activations} bits are not allowed; 1 to 8 and 32 are")


def _require_lengths(parts: dict[str, str]) -> None:
    for name, least in _LEAST.items():
        # parts that a key leaves out are right
        text = parts[name] or str(least)
        well_formed = _LENGTHS.fullmatch(text)
        if well_formed and min(_lengths(text)) >= least:
            continue

        raise ValueError(f"{name} {text} is not of whole numbers of at least {least}, joined by x")


def _same_dimensions(shape: LayerShape) -> bool:
    """Whether a convolution's lengths are of as many dimensions each."""
    texts = (shape.kernel, shape.stride, shape.dilation, shape.padding, shape.size)
    return len({text.count("x") for text in texts if text}) == 1


def _usual_padding(kernel: Sequence[int], dilation: Sequence[int]) -> tuple[int, ...]:
    """What keeps the size at stride 1."""
    padding = []
    for window, wide in zip(kernel, dilation, strict=True):
        padding.append(wide * (window - 1) // 2)
    return tuple(padding)


def _joined(lengths: Sequence[int]) -> str:
    return "x".join(map(str, lengths)) or "1"


def _lengths(text: str) -> tuple[int, ...]:
    return tuple(map(int, text.split("x")))
