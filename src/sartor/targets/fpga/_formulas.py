"""What the units of a dataflow accelerator take, as FINN estimates it.

Cycles, look-up tables, DSP slices and blocks of 18 Kbit. The formulas are FINN's (Umuroglu et al.
2017; FINN-R, Blott et al. 2018; its source, ``custom_op/fpgadataflow``), with three corrections,
each said where it is made. A matrix of ``inputs`` × ``outputs`` is worked on by ``pe`` outputs and
``simd`` inputs at a time.
"""

from __future__ import annotations

import math

#: Look-up tables of any engine, whatever its size (FINN's c0), and what its terms are multiplied by
#: (FINN's c1).
ENGINE_LUT = 300
_LUT_FACTOR = 1.1
#: Words that are so few are held in look-up tables, of which each holds 64 bits. FINN says 128 for
#: one kind of memory and none for another; with 32 four published foldings come out best.
FEW_WORDS = 32
_BITS_OF_LUT = 64
#: Look-up tables of a sliding window, and words that each of those of its buffer holds.
_WINDOW_LUT = 300
_WORDS_OF_WINDOW_LUT = 38
#: Widest word of a block of 18 Kbit, and words that it has at each width.
_BLOCKS = ((1, 16384), (2, 8192), (4, 4096), (9, 2048))
_BITS_OF_BLOCK = 18 * 1024
#: Bits up to which four products share a DSP slice; above them two do.
_NARROW = 4


def matrix_cycles(inputs: int, outputs: int, pe: int, simd: int, pixels: int) -> int:
    """Cycles of a matrix by a vector for each of some pixels.

    >>> matrix_cycles(256, 512, pe=1, simd=4, pixels=1)
    32768
    """
    return (outputs // pe) * (inputs // simd) * pixels


def multiplier_lut(pe: int, simd: int, weight_bits: int, activation_bits: int) -> float:
    """Look-up tables that multiply (FINN-R)."""
    bits = weight_bits + activation_bits
    of_one = (2 * math.ceil(bits / 6) - 1) * bits
    return _LUT_FACTOR * pe * simd * of_one


def adder_lut(pe: int, simd: int, weight_bits: int, activation_bits: int, of_sums: int) -> float:
    """Look-up tables of the adder trees and of accumulators of so many bits (FINN-R)."""
    tree = (weight_bits + activation_bits) * (2 * simd - 1)
    return _LUT_FACTOR * pe * (tree + of_sums)


def sum_bits(weight_bits: int, activation_bits: int, terms: int, *, signed: bool = False) -> int:
    """Bits of a sum of products (FINN-R); ``signed`` are the activations.

    >>> sum_bits(2, 2, terms=4, signed=True)
    6
    """
    alpha = math.log2(terms) + weight_bits + activation_bits - 1 - signed
    carried = math.log2(1 + 2.0**-alpha)
    return math.ceil(alpha + carried + 1)


def weight_lut(width: int, words: int) -> int:
    """Look-up tables that hold the weights, where these are so few."""
    if words > FEW_WORDS:
        return 0
    return width * math.ceil(words / _BITS_OF_LUT)


def weight_blocks(width: int, words: int) -> int:
    """Blocks that hold the weights; none where look-up tables do.

    Words are filled up to whole bytes, as the memories are that FINN generates; its own estimate
    does not say so, and gives a quarter of what a narrow design has.

    >>> weight_blocks(1, 36_864), weight_blocks(36, 1024), weight_blocks(64, 32)
    (18, 3, 0)
    """
    if words <= FEW_WORDS:
        return 0
    return blocks(8 * math.ceil(width / 8), words)


def blocks(width: int, words: int) -> int:
    """Blocks of a memory of so many words.

    >>> [blocks(width, 1024) for width in (1, 2, 4, 9, 18, 36)]
    [1, 1, 1, 1, 1, 2]
    >>> blocks(36, 512)
    1
    """
    for widest, held in _BLOCKS:
        if width <= widest:
            return math.ceil(words / held)
    if width <= 18 or words > 512:
        return math.ceil(words / 1024) * math.ceil(width / 18)
    return math.ceil(words / 512) * math.ceil(width / 36)


def dsp_slices(pe: int, simd: int, weight_bits: int, activation_bits: int) -> int:
    """DSP slices that multiply.

    Four products share one up to 4 bits, two up to 8: FINN's estimate has four always, its cores
    do not.

    >>> dsp_slices(4, 16, 4, 4), dsp_slices(4, 16, 8, 8)
    (16, 32)
    """
    shared = 4 if max(weight_bits, activation_bits) <= _NARROW else 2
    return math.ceil(pe / shared) * simd


def window_cycles(
    kernel: tuple[int, int], width: int, rows: int, columns: int, *, stride: int, words: int
) -> int:
    """Cycles in which a sliding window gives all its places.

    ``width`` is that of the padded input, ``rows`` × ``columns`` are the places, ``words`` those of
    a pixel.
    """
    high, wide = kernel
    first = ((high - 1) * width + wide) * words
    a_row = max(columns * high * wide * words, stride * width * words)
    return first + rows * a_row


def window_lut(simd: int, bits: int, words: int) -> int:
    """Look-up tables of a sliding window, its buffer among them where that is small."""
    if words > FEW_WORDS:
        return _WINDOW_LUT
    return _WINDOW_LUT + simd * bits * math.ceil(words / _WORDS_OF_WINDOW_LUT)


def window_blocks(simd: int, bits: int, words: int) -> int:
    """Blocks of the buffer of a sliding window."""
    return 0 if words <= FEW_WORDS else blocks(simd * bits, words)


def threshold_lut(pe: int, channels: int, bits: int, of_sums: int) -> int:
    """Look-up tables that turn sums of so many bits into activations of ``bits``.

    A comparator for each bit, by binary search, and the thresholds that each of them reads; those
    are 2^bits − 1 for a channel. FINN has no estimate of its own of this unit.
    """
    found = 0
    for level in range(bits):
        words = math.ceil(channels / pe) * 2**level
        held = of_sums * math.ceil(words / _BITS_OF_LUT) if words <= FEW_WORDS else 0
        found += pe * (of_sums + held)
    return found


def threshold_blocks(pe: int, channels: int, bits: int, of_sums: int) -> int:
    """Blocks that hold the thresholds that are too many for look-up tables."""
    found = 0
    for level in range(bits):
        words = math.ceil(channels / pe) * 2**level
        if words > FEW_WORDS:
            found += blocks(pe * of_sums, words)
    return found


def buffer_blocks(bits: float) -> int:
    """Blocks of a queue that holds so many bits; none where look-up tables do."""
    if bits <= FEW_WORDS * 8:
        return 0
    return math.ceil(bits / _BITS_OF_BLOCK)
