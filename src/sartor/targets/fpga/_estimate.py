"""What designs take and give, with bands."""

from __future__ import annotations

from dataclasses import dataclass

from sartor.cost import Band
from sartor.machine import BoolArray, FloatArray, IntArray

#: Shares by which each quantity is likely below and above its estimate. From published designs
#: (``bench/fpga.py``), and wider where these are few.
_BANDS = {
    "fps": (0.05, 0.05),
    "latency": (0.15, 0.15),
    "lut": (0.20, 0.40),
    "bram": (0.10, 0.40),
    "dsp": (0.0, 0.0),
}
#: The quantities of a design, in the order in which they are shown.
SHOWN = tuple(_BANDS)
#: Of frames a second more is better.
_MORE_IS_BETTER = ("fps",)


@dataclass(frozen=True)
class Estimates:
    """Designs of many policies; every number is an estimate.

    Attributes:
        fps: Frames a second, (policies,).
        latency: Seconds from the first pixel to the answer, (policies,).
        lut: Look-up tables, (policies,).
        bram: Blocks of 18 Kbit, (policies,).
        dsp: DSP slices, (policies,).
        cycles: Of one frame in the units of each layer, (policies, layers).
        in_dsp: Whether DSP slices multiply, (policies, layers).
        step: Which of the numbers of cycles that were folded for, (policies,).
    """

    fps: FloatArray
    latency: FloatArray
    lut: FloatArray
    bram: FloatArray
    dsp: FloatArray
    cycles: FloatArray
    in_dsp: BoolArray
    step: IntArray

    def band(self, quantity: str, policy: int = 0) -> Band:
        """One quantity of one policy."""
        values: FloatArray = getattr(self, quantity)
        below, above = _BANDS[quantity]
        return Band.around(float(values[policy]), below=below, above=above)

    def cautious(self, quantity: str) -> FloatArray:
        """One quantity (policies,) at the worse end of its band: what a budget is held against."""
        values: FloatArray = getattr(self, quantity)
        return values * caution(quantity)


def caution(quantity: str) -> float:
    """The worse end of a quantity's band, as a factor of its estimate.

    >>> caution("fps"), caution("lut")
    (0.95, 1.4)
    """
    below, above = _BANDS[quantity]
    return 1 - below if quantity in _MORE_IS_BETTER else 1 + above
