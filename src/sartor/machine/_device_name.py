"""What a device may be called."""

from __future__ import annotations

import re

from sartor.errors import UsageError

_NAMES = re.compile(r"auto|cpu|cuda(:\d+)?|mps")


def require_device_name(name: str) -> None:
    """Raise `UsageError` for what is no name of a device; this machine need not have it.

    >>> require_device_name("gpu")
    Traceback (most recent call last):
    sartor.errors.UsageError: device is 'gpu'; allowed are auto, cpu, cuda, cuda:1 and so on, mps
    """
    if not isinstance(name, str) or not _NAMES.fullmatch(name):
        raise UsageError(f"device is {name!r}; allowed are auto, cpu, cuda, cuda:1 and so on, mps")
