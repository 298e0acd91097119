"""What a board says of itself."""

from __future__ import annotations

from dataclasses import dataclass

_MEGABYTE = 1e6


@dataclass(frozen=True)
class Facts:
    """A board at a moment; what it does not tell is 0 or empty.

    Attributes:
        process: Number of the agent's process there.
        python: Version.
        model: Of the board, as its firmware says.
        processor: Its name.
        emulated: Whether it is a program of another architecture than the kernel's.
        cores: Those that may be used.
        governor: What chooses the clock of the first of them.
        mhz: Its clock now.
        most_mhz: The highest that it can have.
        celsius: Of the hottest place that is measured.
        load: Average of the last minute, in processes.
        free_bytes: Of the disk that holds the kept files.
        slowed_by: What holds the clock down, in words.
    """

    process: int
    python: str
    model: str
    processor: str
    emulated: bool
    cores: tuple[int, ...]
    governor: str
    mhz: float
    most_mhz: float
    celsius: float
    load: float
    free_bytes: int
    slowed_by: str

    @property
    def device(self) -> str:
        """Model and processor, by which latencies are kept: boards of one kind share them."""
        named = f"{self.model}, {self.processor}" if self.model else self.processor
        return f"{named} (emulated)" if self.emulated else named

    def rows(self) -> dict[str, str]:
        """All that is known, in words, by what it is."""
        known = {
            "device": self.device,
            "Python": self.python,
            "cores": ", ".join(map(str, self.cores)),
            "governor": self.governor,
            "clock": f"{self.mhz:.0f} of {self.most_mhz:.0f} MHz" if self.mhz else "",
            "temperature": f"{self.celsius:.0f} °C" if self.celsius else "",
            "load": f"{self.load:.2f}",
            "free disk": f"{self.free_bytes / _MEGABYTE:,.0f} MB",
            "slowed by": self.slowed_by or "nothing that is known",
        }
        return {name: words or "not told" for name, words in known.items()}
