"""What a layer is in a table of latencies, and how its entries are called."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from sartor.graph import LayerSpec
from sartor.machine import FloatArray
from sartor.policy import WIDTHS

_KEY = re.compile(
    r"^(conv|depthwise|linear) (?P<inputs>\d+)->(?P<outputs>\d+) kernel (?P<kernel>[\dx]+) stride (?P<stride>[\dx]+)"
    r"(?: dilation (?P<dilation>[\dx]+))?(?: padding (?P<padding>[\dx]+))?(?: groups (?P<groups>\d+))? on (?P<size>[\dx]+)"
    r" at (\d+)/(\d+) bits$"
)
_LENGTHS = re.compile(r"\d+(x\d+)*")


@dataclass(frozen=True)
class LayerShape:
    """What a layer is, but for its channels; lengths joined by ``x``, bits of weights and of inputs.

    ``dilation`` is empty where it is 1, ``padding`` where it is what keeps the size at stride 1.
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
    def of(cls, layer: LayerSpec, bits: tuple[int, int]) -> LayerShape:
        """LayerShape of a layer; the size is empty for a linear layer on one vector."""
        kernel, stride, size = (
            "x".join(map(str, side)) or "1"
            for side in (layer.kernel, layer.stride, layer.input_size)
        )
        dilation = "x".join(map(str, layer.dilation)) if max(layer.dilation) > 1 else ""
        padding = (
            ""
            if layer.padding in ((), _usual_padding(layer.kernel, layer.dilation))
            else "x".join(map(str, layer.padding))
        )
        groups = 1 if layer.kind == "depthwise" else layer.groups
        return cls(layer.kind, kernel, stride, size, bits, groups, dilation, padding)

    def key(self, width_in: int, width_out: int) -> str:
        """The name of an entry of a table."""
        dilation = f" dilation {self.dilation}" if self.dilation else ""
        padding = f" padding {self.padding}" if self.padding else ""
        groups = f" groups {self.groups}" if self.groups > 1 else ""
        where = (
            f"kernel {self.kernel} stride {self.stride}{dilation}{padding}{groups} on {self.size}"
        )
        return f"{self.kind} {width_in}->{width_out} {where} at {self.bits[0]}/{self.bits[1]} bits"

    def numbers(self, width_in: int, width_out: int) -> FloatArray:
        """How many numbers a layer of so many channels reads, and how many it writes."""
        size = _lengths(self.size)
        if self.kind == "linear":
            return np.prod(size) * np.array([width_in, width_out], dtype=np.float64)
        kernel, stride = _lengths(self.kernel), _lengths(self.stride)
        dilation = _lengths(self.dilation) if self.dilation else (1,) * len(size)
        padding = _lengths(self.padding) if self.padding else _usual_padding(kernel, dilation)
        sides = zip(size, kernel, stride, dilation, padding, strict=True)
        leaving = [
            (side + 2 * zeros - wide * (window - 1) - 1) // step + 1
            for side, window, step, wide, zeros in sides
        ]
        return np.array([width_in * np.prod(size), width_out * np.prod(leaving)], dtype=np.float64)


def _lengths(text: str) -> tuple[int, ...]:
    return tuple(map(int, text.split("x")))


def _usual_padding(kernel: Sequence[int], dilation: Sequence[int]) -> tuple[int, ...]:
    """What keeps the size at stride 1."""
    return tuple(wide * (window - 1) // 2 for window, wide in zip(kernel, dilation, strict=True))


def parse_key(key: str) -> tuple[LayerShape, int, int] | None:
    """LayerShape and channels of an entry; None for entries that are not of single layers, or whose lengths do not go together.

    Raises `ValueError` for lengths or bits that no layer has.
    """
    found = _KEY.match(key)
    if found is None:
        return None
    (
        kind,
        width_in,
        width_out,
        kernel,
        stride,
        dilation,
        padding,
        groups,
        size,
        weights,
        activations,
    ) = found.groups()
    for name, text in found.groupdict("1").items():
        least = 0 if name == "padding" else 1
        if not _LENGTHS.fullmatch(text) or min(_lengths(text)) < least:
            raise ValueError(
                f"{name} {text} is not of whole numbers of at least {least}, joined by x"
            )
    bits = (int(weights), int(activations))
    if not set(bits) <= set(WIDTHS):
        raise ValueError(f"{weights}/{activations} bits are not allowed; 1 to 8 and 32 are")
    shape = LayerShape(
        kind, kernel, stride, size, bits, int(groups or 1), dilation or "", padding or ""
    )
    sides = {text.count("x") for text in (kernel, stride, dilation, padding, size) if text}
    return (shape, int(width_in), int(width_out)) if kind == "linear" or len(sides) == 1 else None
