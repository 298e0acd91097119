"""Where in the user's own code something happened while it was traced."""

from __future__ import annotations

import os
import traceback
from collections.abc import Sequence
from pathlib import Path

import torch

#: Where frames lie that are nobody's forward pass.
_LIBRARIES = tuple(f"{Path(file).parent}{os.sep}" for file in (torch.__file__, __file__))


class SizeError(Exception):
    """A forward pass needs a number that is not known while it is traced."""


def place_of(error: BaseException) -> str:
    """Where in the user's own code an error arose: `` at FILE:LINE (CODE)``, or nothing."""
    return place_in(traceback.extract_tb(error.__traceback__))


def place_in(frames: Sequence[traceback.FrameSummary]) -> str:
    """The innermost frame outside torch and this room."""
    for frame in reversed(frames):
        if frame.filename.startswith(("<", *_LIBRARIES)):
            continue
        return f" at {frame.filename}:{frame.lineno} ({frame.line})"
    return ""


def in_words(error: Exception) -> str:
    """First line of what an error says."""
    lines = str(error).strip().splitlines()
    return lines[0].rstrip(".") if lines else type(error).__name__
