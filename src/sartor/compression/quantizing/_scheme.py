"""How a target rounds."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Scheme:
    """How a target rounds.

    Weights per output channel, symmetric around zero or not; with ``reduce_range`` those of 8 bits use half of their range.
    Activations per tensor, unsigned with a zero point; either only what a quantized layer reads, or (``outputs``) also what it
    writes, because its kernel gives integers.
    """

    symmetric_weights: bool
    outputs: bool
    reduce_range: bool = False

    def largest_weight(self, bits: int) -> int:
        """The largest integer of a symmetric weight: 127 at 8 bits, or 63."""
        return 2 ** (bits - 1 - (self.reduce_range and bits == 8)) - 1


#: Galen's: weights and inputs of each layer, asymmetric.
GALEN = Scheme(symmetric_weights=False, outputs=False)
#: What runtimes with integer kernels make of QDQ graphs (ONNX Runtime, OpenVINO).
INTEGER = Scheme(symmetric_weights=True, outputs=True)
#: The same, right also where kernels add two products of 8 bits in 16 (x86 without VNNI): 2 · 255 · 63 fits, 2 · 255 · 127 not.
REDUCED = Scheme(symmetric_weights=True, outputs=True, reduce_range=True)
