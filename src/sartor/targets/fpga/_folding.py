"""How many outputs and inputs an engine works on at a time: as few as reach a number of cycles.

The rule is FINN's (``set_folding.py``), but that a number that is just reached is enough. Only
divisors fold: a layer of 31 channels works on one or on all of them.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Self

from sartor.targets.fpga._engines import Engine, Shape
from sartor.targets.fpga._formulas import matrix_cycles, window_cycles

#: Bits of a word of weights beyond which inputs are no more folded out before outputs are (FINN's
#: ``mvau_wwidth_max``).
_WIDEST_WORD = 36
#: An engine works on a thousandth of its inputs at least (a limit of the compiler).
_MOST_STEPS = 1024


@dataclass(frozen=True)
class Folding:
    """What an engine and its window work on at a time.

    Attributes:
        pe: Outputs.
        simd: Inputs; of a depthwise layer places of its window.
        window_simd: Channels that the window moves.
        cycles: What one example takes, in the slower of both.
    """

    pe: int
    simd: int
    window_simd: int
    cycles: int

    @classmethod
    def of(
        cls,
        engine: Engine,
        shape: Shape,
        *,
        pe: int,
        simd: int,
        window_simd: int,
        most_cycles: float = math.inf,
    ) -> Self:
        """What an engine and its window take; all places are given at once if else too slow."""
        if engine.depthwise:
            computing = (shape.outputs // pe) * (engine.taps // simd) * engine.pixels
        else:
            inputs = matrix_inputs(engine, shape)
            computing = matrix_cycles(inputs, shape.outputs, pe, simd, engine.pixels)
        moving = _moving_cycles(engine, shape, window_simd, most_cycles)
        return cls(pe, simd, window_simd, max(computing, moving))


def fold(engine: Engine, shape: Shape, most_cycles: float) -> Folding:
    """The smallest folding that reaches a number of cycles; the fastest where none does."""
    if engine.depthwise:
        pe, simd = _fold_vectors(engine, shape, most_cycles)
        # The window hands over as many channels as are worked on.
        window_simd = min(pe, shape.inputs)
    else:
        pe, simd = _fold_matrix(engine, shape, most_cycles)
        window_simd = _fold_window(engine, shape, most_cycles)
    return Folding.of(
        engine,
        shape,
        pe=pe,
        simd=simd,
        window_simd=window_simd,
        most_cycles=most_cycles,
    )


def matrix_inputs(engine: Engine, shape: Shape) -> int:
    """Terms of each sum."""
    return engine.taps * (1 if engine.depthwise else shape.inputs)


def _fold_matrix(engine: Engine, shape: Shape, most_cycles: float) -> tuple[int, int]:
    """Inputs first, as far as a word of weights may be wide, then outputs, then all inputs."""
    inputs = matrix_inputs(engine, shape)
    rows = shape.outputs
    least = math.ceil(inputs / _MOST_STEPS)
    factors = [factor for factor in divisors(inputs) if factor >= least]

    wanted = most_cycles / engine.pixels
    narrow = [factor for factor in factors if factor * shape.weight_bits <= _WIDEST_WORD]
    usual = narrow or factors[:1]
    simd = _first(usual, lambda factor: rows * (inputs // factor) <= wanted)
    pe = _first(divisors(rows), lambda factor: (rows // factor) * (inputs // simd) <= wanted)
    if (rows // pe) * (inputs // simd) > wanted:
        simd = _first(factors, lambda factor: (rows // pe) * (inputs // factor) <= wanted)
    return pe, simd


def _fold_vectors(engine: Engine, shape: Shape, most_cycles: float) -> tuple[int, int]:
    """Channels first, then places of the window."""
    wanted = most_cycles / engine.pixels
    channels = shape.outputs
    pe = _first(divisors(channels), lambda factor: (channels // factor) * engine.taps <= wanted)
    left = channels // pe
    simd = _first(divisors(engine.taps), lambda factor: left * (engine.taps // factor) <= wanted)
    return pe, simd


def _fold_window(engine: Engine, shape: Shape, most_cycles: float) -> int:
    """Channels that the window moves at a time."""

    def is_enough(simd: int) -> bool:
        return _moving_cycles(engine, shape, simd, most_cycles) <= most_cycles

    return _first(divisors(shape.inputs), is_enough)


def _moving_cycles(engine: Engine, shape: Shape, simd: int, most_cycles: float) -> int:
    """Cycles of the window, or of the stream of inputs where there is none."""
    words = math.ceil(shape.inputs / simd)
    arriving = engine.input_rows * engine.input_columns * words * engine.repeats
    if not engine.window:
        return arriving

    cycles = engine.repeats * window_cycles(
        engine.kernel,
        engine.input_columns,
        engine.rows,
        engine.columns,
        stride=engine.stride,
        words=words,
    )
    # A window that moves all channels at once may give all its places at once too.
    if words == 1 and cycles > most_cycles:
        return arriving
    return cycles


def _first(ascending: Sequence[int], is_enough: Callable[[int], bool]) -> int:
    """The smallest that is enough, or the largest of all."""
    for item in ascending:
        if is_enough(item):
            return item
    return ascending[-1]


@functools.cache
def divisors(number: int) -> list[int]:
    """In ascending order.

    >>> divisors(12)
    [1, 2, 3, 4, 6, 12]
    """
    return [factor for factor in range(1, number + 1) if number % factor == 0]
