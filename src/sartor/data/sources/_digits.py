"""Scikit-learn's digits: nothing to download."""

from __future__ import annotations

from functools import cached_property
from typing import Any

import numpy as np
import numpy.typing as npt

from sartor.data._source import Source, SplitName
from sartor.machine import require

_ROWS: dict[SplitName, slice] = {
    "validation": slice(0, 300),
    "test": slice(300, 600),
    "train": slice(600, None),
}

_Pair = tuple[npt.NDArray[np.float32], int]


class Digits(Source):
    """1,797 images of 8 × 8 pixels: 1,197 for training, 300 for validation, 300 for test."""

    classes = tuple("0123456789")
    is_shuffled = True

    @staticmethod
    def recognises(place: str) -> bool:
        """Whether it is called ``digits``."""
        return place == "digits"

    def has(self, split: SplitName) -> bool:
        """All are there."""
        return split in _ROWS

    def samples(self, split: SplitName) -> Any:
        """Pairs of an image and its label."""
        return self._all[_ROWS[split]]

    @cached_property
    def _all(self) -> list[_Pair]:
        datasets = require("sklearn.datasets", extra="data")
        digits = datasets.load_digits()
        count = len(digits.target)

        # The same order for all seeds, so that no split ever holds images of another.
        rng = np.random.default_rng(0)
        order = rng.permutation(count)

        # Levels are whole numbers from 0 to 16.
        levels = digits.images[order, None]
        pixels = (levels / 16).astype(np.float32)
        labels = digits.target[order].tolist()
        return list(zip(pixels, labels, strict=True))
