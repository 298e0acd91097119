"""What a target can be told: where its numbers come from and how many threads it has."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

#: A regular expression for a decimal number.
NUMBER = r"([0-9]+(?:\.[0-9]+)?(?:[eE][+-]?[0-9]+)?)"


@dataclass(frozen=True)
class TargetOptions:
    """Options of targets by name; each takes those it knows and ignores the others.

    Attributes:
        threads: Threads of the target's runtime.
        command: A benchmark program, with ``{model}`` where the path of the network goes.
        command_pattern: Regular expression whose first group is the latency in what the program
            prints; the last match counts.
        command_unit: Unit of that number: s, ms, us or ns.
        table: A JSON file of latencies of layers.
    """

    threads: int = 1
    command: str = ""
    command_pattern: str = NUMBER
    command_unit: str = "ms"
    table: Path | None = None
