"""What holds a data set in splits, and the samples of a split."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, Literal

from sartor.errors import DataError

SplitName = Literal["train", "validation", "test"]

#: What a split is called, by the names that its files or folders may begin with; the first that is
#: there holds all of it.
NAMES: dict[SplitName, tuple[str, ...]] = {
    "train": ("train",),
    "validation": ("validation", "val"),
    "test": ("test",),
}

#: The label of a sample that has none.
UNLABELLED = -1


#: Samples that are read to see what all are like.
_LOOKED_AT = 64


@dataclass(frozen=True, eq=False)
class Sample:
    """One input of a network and what belongs to it.

    Attributes:
        image: The bytes of an image file, an image of Pillow, or an array or tensor that is an
            input already: (channels, height, width), or whatever shape the network reads.
        label: A class number from 0, or what the task wants; −1 or None for none.
        name: What messages call it.
    """

    image: Any
    label: Any
    name: str


class Samples(ABC):
    """The samples of one split, by their numbers; nothing is decoded before it is asked for.

    Attributes:
        place: What messages call all of them.
        classes: Names of the classes, if they are on record.
        identity: What tells these samples from any others, in the next process too; empty where
            nothing does. What was decoded of them is found again by it.
    """

    place: str = "the data"
    classes: tuple[str, ...] = ()
    identity: str = ""

    @abstractmethod
    def __len__(self) -> int:
        """How many there are."""

    @abstractmethod
    def read(self, numbers: Sequence[int]) -> Iterator[Sample]:
        """Some of them, in the order of their numbers; quickest if those ascend."""

    def known_labels(self) -> list[Any] | None:
        """The labels of all, if they are known without reading the samples."""
        return None

    @cached_property
    def labels(self) -> list[Any]:
        """The labels of all; samples are read for them if that is the only way."""
        return self._labels_of_first(len(self))

    @cached_property
    def some_labels(self) -> list[Any]:
        """The labels of all, or of the first if samples have to be read for them."""
        return self._labels_of_first(min(_LOOKED_AT, len(self)))

    @property
    def are_labelled(self) -> bool:
        """Whether there are labels: test splits of competitions are published without."""
        return bool(self.some_labels) and not any(map(is_missing, self.some_labels))

    @property
    def are_sorted(self) -> bool:
        """Whether they come class by class, as those of folders do."""
        first = self.some_labels[:_LOOKED_AT]
        are_numbers = all(isinstance(label, int) for label in first)
        return are_numbers and first == sorted(first)

    def require_labels(self) -> None:
        """Raise `DataError` unless there are samples, and all of them have labels."""
        if not len(self):
            raise DataError(f"{self.place} is empty: at least one image is needed")
        missing = [label for label in self.some_labels if is_missing(label)]
        if missing:
            raise DataError(
                f"{self.place} has images without a label ({missing[0]}); labels count from 0"
            )

    def _labels_of_first(self, count: int) -> list[Any]:
        """The labels of all if they are known, else of as many as are read."""
        labels = self.known_labels()
        if labels is None:
            labels = [sample.label for sample in self.read(range(count))]
        return [_plain(label) for label in labels]


def _plain(label: Any) -> Any:
    """A number of Python where a tensor or an array holds a single one."""
    is_single = getattr(label, "ndim", None) == 0
    return label.item() if is_single else label


def is_missing(label: Any) -> bool:
    """Whether a sample with this label has none."""
    return label is None or (isinstance(label, int) and label < 0)


class Source(ABC):
    """A data set in splits, at a place that it recognises; `SOURCES` holds the kinds.

    A subclass is made with the place, which a user wrote: a path or a name.

    >>> class Noise(Source):
    ...     classes = ("quiet", "loud")
    ...
    ...     def recognises(place):
    ...         return place == "noise"
    ...
    ...     def has(self, split):
    ...         return True
    ...
    ...     def samples(self, split):
    ...         rng = np.random.default_rng(0)
    ...         return [(label * rng.random((1, 8, 8)), label) for label in (0, 1) * 50]
    >>> import numpy as np
    >>> from sartor import data
    >>> data.SOURCES.register("noise", Noise)
    >>> len(data.load("noise", calibration=10).validation)
    100
    """

    #: Names of the classes, in the order of their labels; empty where nothing says them.
    classes: tuple[str, ...] = ()
    #: Whether samples come in random order, so that the first of them are as good as any.
    is_shuffled = False

    def __init__(self, place: str) -> None:
        self.place = Path(place)

    @staticmethod
    @abstractmethod
    def recognises(place: str) -> bool:
        """Whether a place holds a data set of this kind."""

    @abstractmethod
    def has(self, split: SplitName) -> bool:
        """Whether the split is there."""

    @abstractmethod
    def samples(self, split: SplitName) -> Any:
        """All of a split: `Samples`, or an object that `SAMPLES` has a kind for.

        Raises `DataError` if it is not there or cannot be read.
        """
