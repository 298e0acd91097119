"""Latencies of layers on disk: what a search measured, and what a board's owner typed."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Self

from sartor.errors import RunError
from sartor.machine import read_json, write_text

_SCHEMA = 1


@dataclass(frozen=True)
class LatencyFile:
    """``{"schema": 1, "measured_on": TEXT, "seconds": {KEY: SECONDS}}``.

    Attributes:
        measured_on: Runtime, device and threads.
        seconds: Seconds of layers and networks, by what they are.
    """

    measured_on: str
    seconds: Mapping[str, float]

    @classmethod
    def read(cls, path: Path) -> Self:
        """What a file holds; seconds are as they stand there, not checked.

        Raises `RunError` for a file that is missing or holds something else.
        """
        missing = f"the table {path} does not exist"
        content = read_json(path, missing=missing, error=RunError)

        schema = content.get("schema")
        seconds = content.get("seconds")
        if schema != _SCHEMA or not isinstance(seconds, dict):
            raise RunError(f"{path} is not a table of latencies of schema {_SCHEMA}")

        # people who type a table may leave it out
        measured_on = content.get("measured_on", "unknown")
        return cls(str(measured_on), seconds)

    def write(self, path: Path) -> None:
        """Replace a file whole."""
        content = {
            "schema": _SCHEMA,
            "measured_on": self.measured_on,
            "seconds": dict(self.seconds),
        }
        text = json.dumps(content, indent=1)
        write_text(path, f"{text}\n")
