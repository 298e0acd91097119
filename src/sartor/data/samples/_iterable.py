"""Anything that can be gone through again and again."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import cached_property
from typing import Any

from sartor.data._source import Sample
from sartor.data.samples._object import ObjectSamples, names_on
from sartor.data.samples._pairs import is_batch, pair_of, unbatched
from sartor.errors import DataError, SartorError


class IterableSamples(ObjectSamples):
    """An iterable of (inputs, targets), single samples or batches of them.

    It is gone through once to count, and again for every part that is read, so that nothing but
    what is asked for is kept; it has to give the same samples each time.
    """

    def __init__(self, value: Any, place: str) -> None:
        super().__init__(value, place)
        self.classes = names_on(value)

    @staticmethod
    def recognises(value: Any) -> bool:
        """Whether it is an iterable that may hold pairs."""
        is_other = isinstance(value, (str, bytes, Mapping)) or hasattr(value, "dtype")
        return isinstance(value, Iterable) and not is_other

    def __len__(self) -> int:
        return len(self.known_labels())

    def read(self, numbers: Sequence[int]) -> Iterator[Sample]:
        pairs = enumerate(self._pairs())
        before = -1
        for number in numbers:
            if number <= before:
                pairs = enumerate(self._pairs())
            yield self._find(number, pairs)
            before = number

    def known_labels(self) -> list[Any]:
        return self._labels

    @cached_property
    def _labels(self) -> list[Any]:
        if iter(self.value) is self.value:
            raise DataError(
                f"{self.place} is a {type(self.value).__name__}, which can be gone through only "
                "once; give a list, a Dataset, or an object whose __iter__ begins anew"
            )
        return [label for _, label in self._pairs()]

    def _find(self, number: int, pairs: Iterator[tuple[int, tuple[Any, Any]]]) -> Sample:
        for at, (image, label) in pairs:
            if not _are_same(label, self._labels[at]):
                raise DataError(
                    f"{self.place} gives other samples each time it is gone through: item {at} had "
                    f"the label {self._labels[at]}, now {label}; do not shuffle it"
                )
            if at == number:
                return Sample(image, label, f"item {number} of {self.place}")
        raise DataError(
            f"{self.place} had {len(self._labels)} samples when they were counted, now fewer"
        )

    def _pairs(self) -> Iterator[tuple[Any, Any]]:
        try:
            for item in self.value:
                inputs, targets = pair_of(item, self.place)
                if is_batch(inputs, targets):
                    yield from unbatched(inputs, targets, self.place)
                else:
                    yield inputs, targets
        except SartorError:
            raise
        except Exception as error:  # somebody else's code may raise anything
            raise DataError(f"{self.place} cannot be read: {error!r}") from error


def _are_same(label: Any, other: Any) -> bool:
    same = label == other
    # Arrays compare number by number.
    return bool(same.all()) if hasattr(same, "all") else bool(same)
