"""How numbers are written: on the terminal, on the page and on the model card alike."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from sartor.scoring import Interval


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


def interval_words(interval: Interval) -> str:
    """Where an accuracy lies, in percent.

    >>> from sartor.scoring import Interval
    >>> interval_words(Interval(0.905, 0.921, images=5000))
    '90.5 to 92.1'
    """
    return f"{100 * interval.low:.1f} to {100 * interval.high:.1f}"


def duration(seconds: float) -> str:
    """A time, to the second.

    >>> duration(42.3), duration(160), duration(7300)
    ('42 s', '2:40', '2:01:40')
    """
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    minutes, rest = divmod(whole, 60)
    hours, minutes = divmod(minutes, 60)
    if hours:
        return f"{hours}:{minutes:02}:{rest:02}"
    return f"{minutes}:{rest:02}"
