"""Scikit-learn's digits: nothing to download."""

from __future__ import annotations

from functools import cached_property

import numpy as np
import torch

from sartor.data._source import Source, Split, SplitName
from sartor.machine import require

_ROWS: dict[SplitName, slice] = {
    "validation": slice(0, 300),
    "test": slice(300, 600),
    "train": slice(600, None),
}


class Digits(Source):
    """1,797 images of 8 × 8 pixels: 1,197 for training, 300 for validation, 300 for test."""

    classes = tuple("0123456789")

    @staticmethod
    def recognises(place: str) -> bool:
        """Whether it is called ``digits``."""
        return place == "digits"

    def has(self, split: SplitName) -> bool:
        """All are there."""
        return split in _ROWS

    def read(
        self,
        split: SplitName,
        rng: np.random.Generator,
        count: int | None = None,
        *,
        unlabelled: bool = False,
    ) -> Split:
        """The first of a split: they were shuffled once for all."""
        return self._all[_ROWS[split]][:count]

    @cached_property
    def _all(self) -> Split:
        datasets = require("sklearn.datasets", extra="data")
        digits = datasets.load_digits()
        count = len(digits.target)

        # The same order for all seeds, so that no split ever holds images of another.
        rng = np.random.default_rng(0)
        order = rng.permutation(count)

        # Levels are whole numbers from 0 to 16.
        levels = digits.images[order, None]
        pixels = torch.from_numpy(levels / 16)

        labels = torch.from_numpy(digits.target[order])
        return Split(pixels.float(), labels.long())
