"""What the units of a layer take at a folding: window, engine, and what rounds its input."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from sartor.targets.fpga import _formulas as finn
from sartor.targets.fpga._engines import Engine, Shape
from sartor.targets.fpga._folding import Folding, divisors, matrix_inputs

#: By what FINN's terms of multipliers and adders are multiplied, over the sum of bits of a weight
#: and an activation: look-up tables that Yosys counts of such arrays, beside FINN's estimate.
_BITS = (2, 3, 4, 8, 16)
_COUNTED = (0.43, 0.80, 1.00, 1.00, 1.26)
#: Look-up tables of a unit's queue, its width converter and its interfaces. Fitted to four foldings
#: of a network whose look-up tables were published (``bench/fpga.py``).
NODE_LUT = 135
_NODES_OF_UNIT = 3
UNIT_LUT = NODE_LUT * _NODES_OF_UNIT
#: Bits of the sums that are rounded, where the layer that gives them is not looked at.
_SUM_BITS = 16


@dataclass(frozen=True)
class Taken:
    """What the units of one layer take.

    Attributes:
        cycles: Of one example, in the slowest unit.
        lut: Look-up tables, but for those that multiply.
        multiplier_lut: Those that multiply, where no DSP slices do.
        dsp: DSP slices that multiply, where they do.
        bram: Blocks of 18 Kbit.
    """

    cycles: float
    lut: float
    multiplier_lut: float
    dsp: float
    bram: float


def taken_by(engine: Engine, shape: Shape, folding: Folding) -> Taken:
    """What a layer takes at a folding."""
    weights = shape.weight_bits
    activations = shape.activation_bits
    pe, simd = folding.pe, folding.simd
    inputs = matrix_inputs(engine, shape)
    words = (inputs // simd) * (shape.outputs // pe)
    width = pe * simd * weights

    of_sums = finn.sum_bits(weights, activations, inputs, signed=not engine.rounds)
    counted = float(np.interp(weights + activations, _BITS, _COUNTED))
    adders = counted * finn.adder_lut(pe, simd, weights, activations, of_sums)
    lut = finn.ENGINE_LUT + adders + finn.weight_lut(width, words) + UNIT_LUT
    bram = finn.weight_blocks(width, words)
    if engine.window:
        held = _words_of_window(engine, shape, folding)
        lut += finn.window_lut(folding.window_simd, activations, held) + UNIT_LUT
        bram += finn.window_blocks(folding.window_simd, activations, held)
    if engine.rounds:
        rounders = _rounders(engine, shape, folding.cycles)
        lut += finn.threshold_lut(rounders, shape.inputs, activations, _SUM_BITS)
        bram += finn.threshold_blocks(rounders, shape.inputs, activations, _SUM_BITS)

    return Taken(
        cycles=folding.cycles,
        lut=lut,
        multiplier_lut=counted * finn.multiplier_lut(pe, simd, weights, activations),
        dsp=finn.dsp_slices(pe, simd, weights, activations),
        bram=bram,
    )


def _words_of_window(engine: Engine, shape: Shape, folding: Folding) -> int:
    """Words that a window remembers: all rows but one of its height, and its width."""
    high, wide = engine.kernel
    pixels = (high - 1) * engine.input_columns + wide
    return pixels * math.ceil(shape.inputs / folding.window_simd)


def _rounders(engine: Engine, shape: Shape, cycles: float) -> int:
    """Channels that are rounded at a time, so that this keeps pace."""
    pixels = engine.input_rows * engine.input_columns * engine.repeats
    least = pixels * shape.inputs / cycles
    return next((factor for factor in divisors(shape.inputs) if factor >= least), shape.inputs)
