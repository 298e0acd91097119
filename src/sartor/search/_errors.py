"""Errors of choices, found when somebody first asks for them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import cached_property
from typing import overload

from sartor.machine import FloatArray


class ErrorsOnDemand(Sequence[FloatArray]):
    """A sequence that is made at the first look at it.

    Finding errors takes as long as some episodes, and neither uniform policies nor agents that see
    rewards alone need any.

    >>> import numpy as np
    >>> errors = ErrorsOnDemand(lambda: [np.zeros(3)])
    >>> errors.are_known
    False
    >>> len(errors), errors.are_known
    (1, True)
    """

    def __init__(self, find: Callable[[], list[FloatArray]]) -> None:
        self._find = find

    @property
    def are_known(self) -> bool:
        """Whether anybody asked."""
        return "_found" in self.__dict__

    @cached_property
    def _found(self) -> list[FloatArray]:
        return self._find()

    def __len__(self) -> int:
        return len(self._found)

    @overload
    def __getitem__(self, index: int) -> FloatArray: ...
    @overload
    def __getitem__(self, index: slice) -> list[FloatArray]: ...
    def __getitem__(self, index: int | slice) -> FloatArray | list[FloatArray]:
        return self._found[index]
