"""Data sets that give an item for a number: torch's map-style ones, and lists."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from sartor.data._source import Sample
from sartor.data.samples._object import ObjectSamples, names_on
from sartor.data.samples._pairs import is_batch, pair_of
from sartor.errors import DataError, SartorError


class DatasetSamples(ObjectSamples):
    """What has ``__len__`` and, for every number below that, ``__getitem__``."""

    def __init__(self, value: Any, place: str) -> None:
        super().__init__(value, place)
        self.classes = names_on(value)

    @staticmethod
    def recognises(value: Any) -> bool:
        """Whether it is one, and no list of whole batches."""
        if isinstance(value, (list, tuple)):
            return not any(is_batch(*pair_of(item, "data")) for item in itertools.islice(value, 1))
        is_collection = isinstance(value, (str, bytes, Mapping)) or hasattr(value, "dtype")
        return not is_collection and hasattr(value, "__getitem__") and hasattr(value, "__len__")

    def __len__(self) -> int:
        return len(self.value)

    def read(self, numbers: Sequence[int]) -> Iterator[Sample]:
        for number in numbers:
            name = f"item {number} of {self.place}"
            try:
                item = self.value[number]
            except SartorError:
                raise
            except Exception as error:  # somebody else's code may raise anything
                raise DataError(f"{name} cannot be read: {error!r}") from error
            image, label = pair_of(item, self.place)
            yield Sample(image, label, name)

    def known_labels(self) -> list[Any] | None:
        """As data sets of torchvision bear them."""
        targets = getattr(self.value, "targets", None)
        # A transform of targets would make something else of them.
        if targets is None or getattr(self.value, "target_transform", None) is not None:
            return None
        labels = targets.tolist() if hasattr(targets, "tolist") else list(targets)
        return labels if len(labels) == len(self) else None
