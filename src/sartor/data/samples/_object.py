"""Samples that an object of Python holds."""

from __future__ import annotations

from abc import abstractmethod
from typing import Any

from sartor.data._source import Samples


class ObjectSamples(Samples):
    """The contract of `SAMPLES`: made of an object that it recognises.

    Args:
        value: The object.
        place: What messages call it.
    """

    def __init__(self, value: Any, place: str) -> None:
        self.value = value
        self.place = place

    @staticmethod
    @abstractmethod
    def recognises(value: Any) -> bool:
        """Whether an object is of this kind."""


def names_on(value: Any) -> tuple[str, ...]:
    """Names of the classes where an object bears them, as data sets of torchvision do."""
    names = getattr(value, "classes", None)
    if not isinstance(names, (list, tuple)):
        return ()
    return tuple(str(name) for name in names)
