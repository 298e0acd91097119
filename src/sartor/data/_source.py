"""What holds a data set in splits."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
import torch
from torch import Tensor

SplitName = Literal["train", "validation", "test"]

#: What a split is called, by the names that its files or folders may begin with; the first that is
#: there holds all of it.
NAMES: dict[SplitName, tuple[str, ...]] = {
    "train": ("train",),
    "validation": ("validation", "val"),
    "test": ("test",),
}


@dataclass(frozen=True, eq=False)
class Split:
    """Images and their labels.

    Attributes:
        pixels: (count, channels, height, width), uint8 or float32.
        labels: (count,), int64, from 0.
    """

    pixels: Tensor
    labels: Tensor

    def __len__(self) -> int:
        return len(self.labels)

    def __getitem__(self, rows: slice | Tensor) -> Split:
        return Split(self.pixels[rows], self.labels[rows])


#: A split whose images have no labels.
NOTHING = Split(
    torch.empty(0, 3, 1, 1, dtype=torch.uint8),
    torch.empty(0, dtype=torch.int64),
)


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
    ...     def read(self, split, rng, count=None, *, unlabelled=False):
    ...         labels = rng.integers(2, size=count or 100)
    ...         pixels = labels[:, None, None, None] * rng.random((len(labels), 1, 8, 8))
    ...         return Split(torch.from_numpy(pixels).float(), torch.from_numpy(labels))
    >>> from sartor import data
    >>> data.SOURCES.register("noise", Noise)
    >>> len(data.load("noise", calibration=10).validation)
    100
    """

    #: Names of the classes, in the order of their labels.
    classes: tuple[str, ...]

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
    def read(
        self,
        split: SplitName,
        rng: np.random.Generator,
        count: int | None = None,
        *,
        unlabelled: bool = False,
    ) -> Split:
        """All of a split, or ``count`` images drawn from it.

        Images without labels are an error, or, if they may be ``unlabelled``, make it an empty
        split. Raises `DataError` if it is not there or cannot be read.
        """
