"""What may follow ``fpga:`` in the name of the target."""

from __future__ import annotations

import dataclasses
import re
from dataclasses import dataclass
from typing import Self

from sartor.errors import UsageError
from sartor.registry import did_you_mean
from sartor.targets.fpga._device import FpgaDevice
from sartor.targets.fpga._estimator import MULTIPLIERS, Multipliers

_CLOCK = re.compile(r"^([0-9]+(?:\.[0-9]+)?)(?:MHz)?$", re.IGNORECASE)
_EXAMPLE = "fpga:pynq-z2,clock=125MHz,multipliers=lut,fps=1000"
_NAMES = ("clock", "multipliers", "scales", "fps")
_SCALES = ("two", "free")


@dataclass(frozen=True)
class Choices:
    """A device and how designs for it are made.

    >>> Choices.parse("zcu104,clock=200MHz,fps=1000").device.clock_mhz
    200.0
    >>> Choices.parse("zcu104,clok=200")
    Traceback (most recent call last):
    sartor.errors.UsageError: target 'fpga:zcu104,clok=200' has no choice 'clok'; did you mean ...

    Attributes:
        text: As it was written.
        device: The FPGA, at the clock that was chosen.
        multipliers: What multiplies.
        powers_of_two: Whether scales are powers of two, which makes everything exact; if not,
            comparisons with thresholds absorb any scale.
        fps: Frames a second that designs have to give, if a budget says nothing of it.
    """

    text: str
    device: FpgaDevice
    multipliers: Multipliers = "auto"
    powers_of_two: bool = True
    fps: float | None = None

    @classmethod
    def parse(cls, text: str) -> Self:
        """A device, and choices ``name=value``, joined by commas.

        Raises `UsageError` for anything else.
        """
        device, *parts = [part.strip() for part in text.split(",")]
        chosen = cls(text, FpgaDevice.read(device))
        for part in parts:
            name, _, value = part.partition("=")
            chosen = chosen._with(name.strip(), value.strip())
        return chosen

    def _with(self, name: str, value: str) -> Self:
        if name == "clock":
            match = _CLOCK.match(value)
            if not match or not 0 < float(match[1]) <= 1000:
                raise self._refused(name, value, "MHz above 0, at most 1000, such as 125MHz")
            device = dataclasses.replace(self.device, clock_mhz=float(match[1]))
            return dataclasses.replace(self, device=device)

        if name == "multipliers":
            for known in MULTIPLIERS:
                if value == known:
                    return dataclasses.replace(self, multipliers=known)
            raise self._refused(name, value, ", ".join(MULTIPLIERS))

        if name == "scales":
            if value not in _SCALES:
                raise self._refused(name, value, ", ".join(_SCALES))
            return dataclasses.replace(self, powers_of_two=value == "two")

        if name == "fps":
            if not value.replace(".", "", 1).isdigit() or not float(value) > 0:
                raise self._refused(name, value, "frames a second above 0")
            return dataclasses.replace(self, fps=float(value))

        raise UsageError(
            f"target 'fpga:{self.text}' has no choice {name!r}; {did_you_mean(name, _NAMES)}"
            f"allowed are {', '.join(_NAMES)}, as in {_EXAMPLE}"
        )

    def _refused(self, name: str, value: str, allowed: str) -> UsageError:
        return UsageError(f"target 'fpga:{self.text}': {name} is {value!r}; allowed are {allowed}")
