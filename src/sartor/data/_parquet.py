"""Folders of Parquet files in the hub's schema for image classification."""

from __future__ import annotations

import json
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import torch

from sartor.data._decode import decode
from sartor.data._source import NAMES, NOTHING, Source, Split, SplitName
from sartor.errors import DataError
from sartor.machine import require

_IMAGE = ("img", "image")
_LABEL = ("label", "fine_label", "labels")


class ParquetFolder(Source):
    """``train*.parquet``, ``validation*.parquet`` (or ``val*``) and ``test*.parquet``."""

    @staticmethod
    def recognises(place: str) -> bool:
        """Whether it is a folder with such files."""
        return any(Path(place).glob("*.parquet"))

    @cached_property
    def classes(self) -> tuple[str, ...]:  # type: ignore[override]
        """Names from the files' metadata; else numbers up to the largest label of all splits."""
        highest = -1
        for split in NAMES:
            for file in self._files(split):
                names = self._names_in(file)
                if names:
                    return names

                highest_of_file = self._highest_label(file)
                highest = max(highest, highest_of_file)

        return tuple(str(label) for label in range(highest + 1))

    def has(self, split: SplitName) -> bool:
        """Whether there are files of this name."""
        return bool(self._files(split))

    def read(
        self,
        split: SplitName,
        rng: np.random.Generator,
        count: int | None = None,
        *,
        unlabelled: bool = False,
    ) -> Split:
        """Rows in the order of the files, unless some are drawn."""
        files = self._files(split)
        if not files:
            held = sorted(file.name for file in self.place.iterdir())
            raise DataError(f"{self.place} has no {split}*.parquet; it holds {held}")

        pyarrow = require("pyarrow", extra="data")
        whole = pyarrow.concat_tables([_read(file) for file in files])
        image = _first(_IMAGE, whole.column_names)
        label = _first(_LABEL, whole.column_names)
        if image is not None and label is None and unlabelled:
            return NOTHING

        if image is None or label is None:
            raise DataError(
                f"{files[0]} has columns {whole.column_names}; expected img or image, and label"
            )
        if not len(whole):
            raise DataError(f"{files[0]} is empty: at least one image is needed")
        kind = whole.schema.field(label).type
        _require_whole_numbers(kind, files[0])

        rows = np.arange(len(whole))
        if count:
            rows = rng.permutation(len(whole))[:count]
        table = whole.take(rows)

        labels = _labels_of(table.column(label))
        lowest = min(labels)
        if lowest < 0 and unlabelled:
            return NOTHING
        if lowest < 0:
            raise DataError(
                f"{files[0]} has images without a label ({lowest}); labels count from 0"
            )

        where = files[0] if len(files) == 1 else f"{files[0]} and those after it"
        names = [f"row {row} of {where}" for row in rows]
        encoded = [_bytes_of(item) for item in table.column(image).to_pylist()]
        pixels = decode(encoded, names)
        return Split(pixels, torch.tensor(labels, dtype=torch.int64))

    def _files(self, split: SplitName) -> list[Path]:
        for name in NAMES[split]:
            found = sorted(self.place.glob(f"{name}*.parquet"))
            if found:
                return found
        return []

    def _names_in(self, file: Path) -> tuple[str, ...]:
        """Names of the classes as the hub writes them into a file; empty where it did not."""
        metadata = _schema(file).metadata or {}
        written = metadata.get(b"huggingface", b"{}")
        try:
            described = json.loads(written)
            features = described["info"]["features"]
            label = _first(_LABEL, list(features))
            names = features[label]["names"]
        # Whatever somebody else wrote there instead is no error.
        except (ValueError, KeyError, TypeError):
            return ()
        return tuple(str(name) for name in names)

    def _highest_label(self, file: Path) -> int:
        """Largest label of a file, −1 where it has none."""
        columns = _schema(file).names
        label = _first(_LABEL, columns)
        if label is None:
            return -1

        table = _read(file, columns=[label])
        column = table.column(label)
        _require_whole_numbers(column.type, file)
        return max(_labels_of(column), default=-1)


def _read(file: Path, columns: list[str] | None = None) -> Any:
    parquet = require("pyarrow.parquet", extra="data")
    try:
        return parquet.read_table(file, columns=columns)
    except Exception as error:  # pyarrow raises many kinds
        raise DataError(f"{file} cannot be read as Parquet: {error}") from error


def _schema(file: Path) -> Any:
    parquet = require("pyarrow.parquet", extra="data")
    try:
        return parquet.read_schema(file)
    except Exception as error:  # pyarrow raises many kinds
        raise DataError(f"{file} cannot be read as Parquet: {error}") from error


def _require_whole_numbers(kind: Any, file: Path) -> None:
    types = require("pyarrow", extra="data").types
    if not types.is_integer(kind) and not types.is_null(kind):
        raise DataError(f"{file}: labels are of type {kind}; they must be whole numbers from 0")


def _first(names: tuple[str, ...], columns: list[str]) -> str | None:
    for name in names:
        if name in columns:
            return name
    return None


def _labels_of(column: Any) -> list[int]:
    """Labels, −1 where there is none."""
    return [-1 if value is None else value for value in column.to_pylist()]


def _bytes_of(item: Any) -> bytes:
    """An encoded image, plain or as the hub nests it; empty where there is none."""
    if isinstance(item, bytes):
        return item
    return (item or {}).get("bytes") or b""
