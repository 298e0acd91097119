"""What a target can be told: what it runs on, how much at a time, where its numbers come from."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

#: A regular expression for a decimal number.
NUMBER = r"([0-9]+(?:\.[0-9]+)?(?:[eE][+-]?[0-9]+)?)"
#: What targets compute on and with if nothing else is asked for.
DEVICE = "cpu"
PRECISION = "fp32"


@dataclass(frozen=True)
class TargetOptions:
    """Options of targets by name.

    Each takes those it knows; what it would have to ignore of batch, device and precision is
    refused by `make`.

    Attributes:
        threads: Threads of the target's runtime.
        batch: Images that are run, and timed, at once.
        device: Where torch and inductor compute: cpu, cuda, cuda:1, mps, or auto.
        precision: What torch and inductor compute with where nothing is quantized: fp32, bf16
            or fp16.
        command: A benchmark program, with ``{model}`` where the path of the network goes.
        command_pattern: Regular expression whose first group is the latency in what the program
            prints; the last match counts.
        command_unit: Unit of that number: s, ms, us or ns.
        table: A JSON file of latencies of layers.
        place: Where the target is, if not here, or on which device: what stands behind a colon
            after its name.
    """

    threads: int = 1
    batch: int = 1
    device: str = DEVICE
    precision: str = PRECISION
    command: str = ""
    command_pattern: str = NUMBER
    command_unit: str = "ms"
    table: Path | None = None
    place: str = ""
