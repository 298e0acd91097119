"""How numbers are written: on the terminal, on the page and on the model card alike."""

from __future__ import annotations


def counted(count: int, noun: str) -> str:
    """A number of things.

    >>> counted(1, "thread"), counted(1200, "image")
    ('1 thread', '1,200 images')
    """
    ending = "" if count == 1 else "s"
    return f"{count:,} {noun}{ending}"


def percent(share: float | None, digits: int = 2) -> str:
    """A share as a percentage; a dash where there is none.

    >>> percent(0.5), percent(1 / 3, digits=0), percent(None)
    ('50.00 %', '33 %', '–')
    """
    if share is None:
        return "–"
    return f"{100 * share:.{digits}f} %"


def milliseconds(seconds: float) -> str:
    """A duration.

    >>> milliseconds(0.0012345)
    '1.234 ms'
    """
    return f"{1e3 * seconds:.3f} ms"


def in_bytes(count: int | None) -> str:
    """A size, where it is known.

    >>> in_bytes(1200), in_bytes(None)
    ('1,200 bytes', 'unknown')
    """
    if count is None:
        return "unknown"
    return f"{count:,} bytes"
