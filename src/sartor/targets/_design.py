"""Designs that targets estimate of networks: engines, and what all of them take."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from sartor.cost import Band


@dataclass(frozen=True)
class EngineDesign:
    """The engine of one layer; every number is an estimate.

    Attributes:
        name: Of the layer.
        inputs: Channels that it reads.
        outputs: Channels that it writes.
        weight_bits: Of its weights.
        activation_bits: Of what it reads.
        pe: Outputs that it works on at a time.
        simd: Inputs, or places of a window, that it works on at a time.
        cycles: Of one image.
        lut: Look-up tables, those of its window and of what rounds its input among them.
        bram: Blocks of memory of 18 Kbit, likewise.
        dsp: DSP slices that multiply; 0 where look-up tables do.
    """

    name: str
    inputs: int
    outputs: int
    weight_bits: int
    activation_bits: int
    pe: int
    simd: int
    cycles: int
    lut: int
    bram: int
    dsp: int


@dataclass(frozen=True)
class Design:
    """What a network becomes on a device, as far as it can be told without building it.

    Attributes:
        part: The device.
        clock_mhz: Of its engines: assumed.
        has: What the device has of each resource.
        estimates: What all of it takes and gives, by quantity: fps, latency in seconds, lut, bram,
            dsp.
        engines: In the order in which they run.
    """

    part: str
    clock_mhz: float
    has: Mapping[str, float]
    estimates: Mapping[str, Band]
    engines: tuple[EngineDesign, ...]

    @property
    def slowest(self) -> EngineDesign:
        """The engine that all others wait for; the first of equally slow ones."""
        return max(self.engines, key=lambda engine: engine.cycles)
