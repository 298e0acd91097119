"""Folders of Parquet files in the hub's schema for image classification."""

from __future__ import annotations

import itertools
import json
from bisect import bisect_right
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from sartor.data._source import NAMES, UNLABELLED, Sample, Samples, Source, SplitName
from sartor.data.samples import IMAGE_NAMES, LABEL_NAMES, first_name
from sartor.errors import DataError
from sartor.machine import require

#: Rows that are in memory at a time.
_ROWS = 64
#: Bytes that are read from a file at a time.
_BUFFER = 2**20


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
            for file in map(_File, self._paths(split)):
                if file.classes:
                    return file.classes
                highest_of_file = max(file.labels, default=UNLABELLED)
                highest = max(highest, highest_of_file)

        return tuple(str(label) for label in range(highest + 1))

    def has(self, split: SplitName) -> bool:
        """Whether there are files of this name."""
        return bool(self._paths(split))

    def samples(self, split: SplitName) -> RowSamples:
        """Rows in the order of the files."""
        paths = self._paths(split)
        if not paths:
            held = sorted(file.name for file in self.place.iterdir())
            raise DataError(f"{self.place} has no {split}*.parquet; it holds {held}")
        return RowSamples(paths)

    def _paths(self, split: SplitName) -> list[Path]:
        for name in NAMES[split]:
            found = sorted(self.place.glob(f"{name}*.parquet"))
            if found:
                return found
        return []


class RowSamples(Samples):
    """The rows of some Parquet files, read a few at a time."""

    def __init__(self, paths: Sequence[Path]) -> None:
        self.place = str(paths[0])
        self._several = len(paths) > 1
        self._files = [_File(path) for path in paths]

    def __len__(self) -> int:
        return sum(file.count for file in self._files)

    def read(self, numbers: Sequence[int]) -> Iterator[Sample]:
        where = f"{self.place} and those after it" if self._several else self.place
        labels = self.known_labels()
        for number, image in self._images(numbers):
            yield Sample(image, labels[number], f"row {number} of {where}")

    def known_labels(self) -> list[int]:
        return self._labels

    def require_labels(self) -> None:
        for file in self._files:
            file.require_columns()
        super().require_labels()

    @cached_property
    def identity(self) -> str:  # type: ignore[override]
        """Where the files lie, how large they are and when they were changed."""
        lines = ["rows"]
        for file in self._files:
            facts = file.path.stat()
            lines.append(f"{file.path.resolve()} {facts.st_size} {facts.st_mtime_ns}")
        return "\n".join(lines)

    @cached_property
    def _labels(self) -> list[int]:
        labels: list[int] = []
        for file in self._files:
            labels += file.labels
        return labels

    def _images(self, numbers: Sequence[int]) -> Iterator[tuple[int, bytes]]:
        """Encoded images with their numbers; rows between them are read over."""
        stream: Iterator[Any] = iter(())
        current: _Group | None = None
        following = 0
        for number in numbers:
            group = self._group_of(number)
            if group is not current or number < following:
                current = group
                stream = group.images()
                following = group.start

            between = number - following
            image = next(itertools.islice(stream, between, None))
            following = number + 1
            yield number, _bytes_of(image.as_py())

    def _group_of(self, number: int) -> _Group:
        starts = [group.start for group in self._groups]
        return self._groups[bisect_right(starts, number) - 1]

    @cached_property
    def _groups(self) -> list[_Group]:
        groups = []
        start = 0
        for file in self._files:
            for index, count in enumerate(file.group_sizes):
                # Groups without rows hold no number.
                if count:
                    groups.append(_Group(file, index, start))
                start += count
        return groups


@dataclass(frozen=True, eq=False)
class _Group:
    """A group of rows of a file, whose first has the number ``start`` of all."""

    file: _File
    index: int
    start: int

    def images(self) -> Iterator[Any]:
        """Encoded images as they are stored."""
        for batch in self.file.batches(self.index):
            yield from batch.column(0)


class _File:
    """One Parquet file."""

    def __init__(self, path: Path) -> None:
        self.path = path

    @cached_property
    def count(self) -> int:
        """Rows."""
        return int(self._opened.metadata.num_rows)

    @cached_property
    def classes(self) -> tuple[str, ...]:
        """Names of the classes as the hub writes them into a file; empty where it did not."""
        metadata = self._opened.schema_arrow.metadata or {}
        written = metadata.get(b"huggingface", b"{}")
        try:
            described = json.loads(written)
            features = described["info"]["features"]
            label = first_name(LABEL_NAMES, features)
            names = features[label]["names"]
        # Whatever somebody else wrote there instead is no error.
        except (ValueError, KeyError, TypeError):
            return ()
        return tuple(str(name) for name in names)

    @cached_property
    def labels(self) -> list[int]:
        """Labels, −1 where there is none."""
        label = first_name(LABEL_NAMES, self._columns)
        if label is None:
            return [UNLABELLED] * self.count

        kind = self._opened.schema_arrow.field(label).type
        types = require("pyarrow", extra="data").types
        if not types.is_integer(kind) and not types.is_null(kind):
            raise DataError(
                f"{self.path}: labels are of type {kind}; they must be whole numbers from 0"
            )
        column = self._opened.read(columns=[label]).column(label)
        return [UNLABELLED if value is None else value for value in column.to_pylist()]

    @property
    def group_sizes(self) -> list[int]:
        """Rows of each of the groups that the file is written in."""
        metadata = self._opened.metadata
        return [metadata.row_group(index).num_rows for index in range(metadata.num_row_groups)]

    def batches(self, group: int) -> Iterator[Any]:
        """The column of the images in a group of rows, a few rows at a time."""
        image = self.require_columns()
        yield from self._opened.iter_batches(_ROWS, row_groups=[group], columns=[image])

    def require_columns(self) -> str:
        """The column of the images. Raises `DataError` where a column is missing."""
        image = first_name(IMAGE_NAMES, self._columns)
        label = first_name(LABEL_NAMES, self._columns)
        if image is None or label is None:
            raise DataError(
                f"{self.path} has columns {self._columns}; expected img or image, and label"
            )
        return image

    @property
    def _columns(self) -> list[str]:
        return list(self._opened.schema_arrow.names)

    @cached_property
    def _opened(self) -> Any:
        parquet = require("pyarrow.parquet", extra="data")
        try:
            # Buffered: else a group of rows is read as a whole, and it may be the whole file.
            return parquet.ParquetFile(self.path, buffer_size=_BUFFER)
        except Exception as error:  # pyarrow raises many kinds
            raise DataError(f"{self.path} cannot be read as Parquet: {error}") from error


def _bytes_of(item: Any) -> bytes:
    """An encoded image, plain or as the hub nests it; empty where there is none."""
    if isinstance(item, bytes):
        return item
    return (item or {}).get("bytes") or b""
