"""Splits that are objects of Python, by their names."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Self

from sartor.data._source import NAMES, Samples, Source, SplitName
from sartor.data.samples import as_samples
from sartor.errors import DataError

#: What splits are called in mappings, beside their own names.
_ALSO: dict[SplitName, tuple[str, ...]] = {
    "train": ("calibration",),
    "validation": ("valid", "dev"),
    "test": (),
}


class Objects(Source):
    """A mapping of splits, or one object that is to be divided.

    Args:
        parts: By name: train or calibration, validation, test; or what holds everything.
        place: What messages call it.
    """

    def __init__(self, parts: Any, place: str = "data") -> None:
        super().__init__(place)
        self.called = place
        self._parts = parts

    @staticmethod
    def recognises(place: str) -> bool:
        """Whether it is no place at all, but an object."""
        return not isinstance(place, str)

    def known(self) -> Self:
        """The same, once it is sure that `SAMPLES` has a kind for each object.

        Raises `UsageError` for an object of another kind.
        """
        if self.is_whole:
            self.whole()
        for split in NAMES:
            if self.has(split):
                self.samples(split)
        return self

    @property
    def classes(self) -> tuple[str, ...]:  # type: ignore[override]
        """Names that the first of the splits has on record."""
        if self.is_whole:
            return self.whole().classes
        for split in NAMES:
            if self.has(split):
                names = self.samples(split).classes
                if names:
                    return names
        return ()

    @property
    def is_whole(self) -> bool:
        """Whether there are no splits, but one object."""
        return not isinstance(self._parts, Mapping)

    def whole(self) -> Samples:
        """The one object's samples."""
        return as_samples(self._parts, self.called)

    def has(self, split: SplitName) -> bool:
        """Whether there is an object of this name."""
        return not self.is_whole and self._key(split) is not None

    def samples(self, split: SplitName) -> Samples:
        """The samples of an object."""
        key = self._key(split)
        if key is None:
            held = ", ".join(map(str, self._parts))
            raise DataError(
                f"{self.called} has no {split} split; it holds {held or 'nothing'}, expected are "
                "train (or calibration), validation and test"
            )
        return as_samples(self._parts[key], f"{self.called}[{key!r}]")

    def _key(self, split: SplitName) -> str | None:
        for name in (*NAMES[split], *_ALSO[split]):
            if name in self._parts:
                return name
        return None
