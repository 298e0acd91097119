"""What reads how inputs are made from somebody else's object."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from typing import Any

from sartor.data import Preprocessing


class Reader(ABC):
    """Reads one kind of object; `READERS` holds the kinds.

    >>> class Square(Reader):
    ...     def recognises(value):
    ...         return isinstance(value, complex)
    ...
    ...     def read(value):
    ...         return Preprocessing(crop=(int(value.real), int(value.imag)))
    >>> Square.read(3 + 4j).crop
    (3, 4)
    """

    @staticmethod
    @abstractmethod
    def recognises(value: Any) -> bool:
        """Whether an object is of this kind; nothing is imported to tell."""

    @staticmethod
    @abstractmethod
    def read(value: Any) -> Preprocessing:
        """What it says. Raises `UsageError` for what `Preprocessing` cannot say."""


def entry(value: Any, name: str, default: Any = None) -> Any:
    """An item of a mapping, or an attribute of an object."""
    if isinstance(value, Mapping):
        return value.get(name, default)
    return getattr(value, name, default)


def has_entries(value: Any, *names: str) -> bool:
    """Whether a mapping or an object has all of these, and none is missing or None."""
    return all(entry(value, name) is not None for name in names)


def numbers(values: Any, channels: int = 3) -> tuple[float, ...]:
    """Floats of one number per channel, or of one for all."""
    if isinstance(values, (int, float)):
        values = [values] * channels
    return tuple(float(value) for value in values)


def size_of(value: Any) -> int | tuple[int, int]:
    """A size of one number, alone or in a list, or of height and width."""
    if not isinstance(value, Sequence):
        return int(value)
    if len(value) == 1:
        return int(value[0])
    height, width = value
    return int(height), int(width)
