"""What policies do to single layers."""

from __future__ import annotations

from dataclasses import dataclass

from sartor.machine import FloatArray, IntArray


@dataclass(frozen=True, eq=False)
class LayerSettings:
    """What policies do to single layers; None where all is as in the original.

    Attributes:
        densities: Share of single weights kept, (policies, layers).
        weight_bits: Bits of the weights, (policies, layers).
        activation_bits: Bits of what each layer reads, (policies, layers).
    """

    densities: FloatArray | None = None
    weight_bits: IntArray | None = None
    activation_bits: IntArray | None = None
