"""How a target rounds."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Scheme:
    """How a target rounds.

    Weights are rounded per output channel, activations per tensor, unsigned with a zero point.

    >>> Scheme(symmetric_weights=True, outputs=True).largest_weight(8)
    127

    Attributes:
        symmetric_weights: Ranges of weights are symmetric around zero.
        outputs: Not only what a quantized layer reads is rounded, but also what it writes,
            because its kernel gives integers.
        reduce_range: Weights of 8 bits use half of their range.
        floats_below: Layers that read fewer bits write floating point, whatever ``outputs`` says.
    """

    symmetric_weights: bool
    outputs: bool
    reduce_range: bool = False
    floats_below: int = 0

    def largest_weight(self, bits: int) -> int:
        """The largest integer of a symmetric weight: 127 at 8 bits, or 63."""
        is_reduced = self.reduce_range and bits == 8
        return 2 ** (bits - 1 - is_reduced) - 1


#: Galen's: weights and inputs of each layer, asymmetric.
GALEN = Scheme(symmetric_weights=False, outputs=False)
#: What runtimes with integer kernels make of QDQ graphs (ONNX Runtime, OpenVINO).
INTEGER = Scheme(symmetric_weights=True, outputs=True)
#: The same, right also where kernels add two products of 8 bits in 16 (x86 without VNNI):
#: 2 · 255 · 63 fits, 2 · 255 · 127 does not.
REDUCED = Scheme(symmetric_weights=True, outputs=True, reduce_range=True)
