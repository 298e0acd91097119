"""How a target rounds."""

from __future__ import annotations

from dataclasses import dataclass, replace


@dataclass(frozen=True)
class Scheme:
    """How a target rounds.

    Weights are rounded per output channel, activations per tensor.

    >>> Scheme(symmetric_weights=True, outputs=True).largest_weight(8)
    127

    Attributes:
        symmetric_weights: Ranges of weights are symmetric around zero.
        outputs: Not only what a quantized layer reads is rounded, but also what it writes,
            because its kernel gives integers.
        reduce_range: Weights of 8 bits use half of their range.
        floats_below: Layers that read fewer bits write floating point, whatever ``outputs`` says.
        zero_points: Activations are unsigned, with a zero point anywhere. If not, those that are
            never below zero are unsigned and all others signed, and zero is 0.
        powers_of_two: Steps are powers of two, so that sums are exact in floating point.
        equal_summands: What is added is rounded in steps of the same size, and what is averaged is
            rounded: both are of whole numbers then.
    """

    symmetric_weights: bool
    outputs: bool
    reduce_range: bool = False
    floats_below: int = 0
    zero_points: bool = True
    powers_of_two: bool = False
    equal_summands: bool = False

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
#: What engines of an FPGA compute with (FINN): integers, compared with thresholds that absorb any
#: scale.
DATAFLOW = Scheme(
    symmetric_weights=True,
    outputs=False,
    zero_points=False,
    equal_summands=True,
)
#: The same, whose simulation is exact to the last bit.
DATAFLOW_EXACT = replace(DATAFLOW, powers_of_two=True)
