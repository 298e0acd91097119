"""Data sets of Hugging Face's ``datasets``."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

from sartor.data._source import UNLABELLED, Sample
from sartor.data.samples._object import ObjectSamples
from sartor.data.samples._pairs import IMAGE_NAMES, LABEL_NAMES, first_name
from sartor.errors import DataError
from sartor.machine import require


class HuggingFaceSamples(ObjectSamples):
    """A ``datasets.Dataset``, with the transform that its user set, if any."""

    @staticmethod
    def recognises(value: Any) -> bool:
        """Whether it is one; the library is not imported to tell."""
        package, _, _ = type(value).__module__.partition(".")
        return package == "datasets" and hasattr(value, "__getitem__")

    def __len__(self) -> int:
        return len(self.value)

    def read(self, numbers: Sequence[int]) -> Iterator[Sample]:
        labels = self.known_labels()
        for number in numbers:
            row = self._rows[number]
            name = f"row {number} of {self.place}"
            yield Sample(_image_of(row[self._image], name), labels[number], name)

    def known_labels(self) -> list[Any]:
        return self._labels

    @cached_property
    def classes(self) -> tuple[str, ...]:  # type: ignore[override]
        """Names of the `ClassLabel` feature."""
        if self._label is None:
            return ()
        names = getattr(self.value.features[self._label], "names", None)
        return tuple(names or ())

    @property
    def identity(self) -> str:  # type: ignore[override]
        """The library's own fingerprint of everything that was done to the rows."""
        fingerprint = getattr(self.value, "_fingerprint", "")
        return f"rows {fingerprint}" if fingerprint and not self._is_transformed else ""

    @cached_property
    def _labels(self) -> list[Any]:
        if self._label is None:
            return [UNLABELLED] * len(self)
        column = self.value.with_format(None)[self._label]
        return [UNLABELLED if label is None else label for label in column]

    @cached_property
    def _rows(self) -> Any:
        """Rows whose images are still encoded: other processes decode them."""
        if self._is_transformed:
            return self.value
        feature = require("datasets", extra="data").Image
        rows = self.value.with_format(None)
        if isinstance(rows.features[self._image], feature):
            rows = rows.cast_column(self._image, feature(decode=False))
        return rows

    @property
    def _is_transformed(self) -> bool:
        """Whether its user gave it a function that makes something else of the rows."""
        return self.value.format["type"] == "custom"

    @property
    def _image(self) -> str:
        name = first_name(IMAGE_NAMES, self.value.column_names)
        if name is None and self._is_transformed:
            # The transform may call it otherwise.
            name = first_name(IMAGE_NAMES, self.value[0])
        if name is None:
            raise DataError(
                f"{self.place} has columns {self.value.column_names}; expected img or image, and "
                "label"
            )
        return name

    @property
    def _label(self) -> str | None:
        return first_name(LABEL_NAMES, self.value.column_names)


def _image_of(value: Any, name: str) -> Any:
    """The bytes of an image that is still encoded; anything else as it is."""
    if not isinstance(value, Mapping):
        return value
    encoded = value.get("bytes")
    if encoded is not None:
        return encoded
    path = value.get("path")
    if path is None:
        raise DataError(f"{name} has neither the bytes of an image nor its path")
    return Path(path).read_bytes()
