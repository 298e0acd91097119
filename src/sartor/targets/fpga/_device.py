"""What an FPGA has: resources and a clock, read from a TOML file."""

from __future__ import annotations

import tomllib
from dataclasses import dataclass
from importlib import resources
from pathlib import Path

from sartor.errors import UsageError
from sartor.machine import structure
from sartor.registry import did_you_mean

#: How the files of devices end.
_TOML = ".toml"
#: Clocks beyond this are no FPGA's, but a slip of the unit.
_FASTEST_MHZ = 1000.0


@dataclass(frozen=True)
class FpgaDevice:
    """A device, or the part of it that a network may have.

    >>> FpgaDevice.read("pynq-z2").lut
    53200

    Attributes:
        part: What the vendor calls it.
        lut: Look-up tables with six inputs.
        bram: Blocks of memory of 18 Kbit: half of what the vendor calls a block RAM tile.
        dsp: DSP slices.
        clock_mhz: Of the network's engines: assumed, not a result of placing and routing them.
        source: Where these numbers are from.
    """

    part: str
    lut: int
    bram: int
    dsp: int
    clock_mhz: float
    source: str = ""

    @classmethod
    def read(cls, text: str) -> FpgaDevice:
        """A device of this package by its name, or any by the path of a TOML file.

        Raises `UsageError` for a name that is not known, for a file that cannot be read and for
        numbers that no device has.
        """
        path = Path(text)
        if path.suffix == _TOML:
            return _parsed(_text_of(path), str(path))

        known = _known()
        if text not in known:
            allowed = ", ".join(known)
            raise UsageError(
                f"FPGA {text!r} is not known; {did_you_mean(text, known)}allowed are {allowed}, "
                "and the path of a .toml file"
            )
        return _parsed(known[text], text)


def _known() -> dict[str, str]:
    """The files of this package, by the names of devices."""
    folder = resources.files("sartor.targets.fpga").joinpath("devices")
    found = {}
    for file in sorted(folder.iterdir(), key=lambda file: file.name):
        if file.name.endswith(_TOML):
            found[file.name.removesuffix(_TOML)] = file.read_text(encoding="utf-8")
    return found


def _text_of(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise UsageError(f"the FPGA's file {path} cannot be read: {error}") from error


def _parsed(text: str, place: str) -> FpgaDevice:
    try:
        content = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise UsageError(f"the FPGA's file {place} is not TOML: {error}") from error

    device = structure(FpgaDevice, content, place)
    for name in ("lut", "bram", "dsp"):
        value = getattr(device, name)
        least = 0 if name == "dsp" else 1
        if value < least:
            raise UsageError(f"{place}: {name} is {value}; it must be at least {least}")
    if not 0 < device.clock_mhz <= _FASTEST_MHZ:
        raise UsageError(
            f"{place}: clock_mhz is {device.clock_mhz:g}; it must lie above 0 and be at most "
            f"{_FASTEST_MHZ:g}"
        )
    return device
