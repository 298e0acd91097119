"""Splits of a data set as they lie in a folder."""

from __future__ import annotations

import io
from collections.abc import Sequence
from functools import cached_property
from pathlib import Path
from typing import Literal, Protocol

import numpy as np
import torch
from torch import Tensor

from sartor.errors import DataError
from sartor.machine import require

SplitName = Literal["train", "validation", "test"]
#: Pixels, uint8 (count, 3, height, width), and labels (count,).
Split = tuple[Tensor, Tensor]
#: A split whose images have no labels.
_NOTHING: Split = (torch.empty(0, 3, 1, 1, dtype=torch.uint8), torch.empty(0, dtype=torch.int64))
#: What a split is called, by the names that its files or folders may begin with; the first that is there holds all of it.
_NAMES: dict[SplitName, tuple[str, ...]] = {
    "train": ("train",),
    "validation": ("validation", "val"),
    "test": ("test",),
}


class Folder(Protocol):
    """What holds splits."""

    def has(self, split: SplitName) -> bool:
        """Whether the split is there."""

    def read(
        self,
        split: SplitName,
        rng: np.random.Generator,
        count: int | None = None,
        *,
        unlabelled: bool = False,
    ) -> Split:
        """All of a split, or ``count`` images drawn from it. Raises `DataError` if it is not there or cannot be read.

        Images without labels are an error, or, if they may be ``unlabelled``, make it an empty split.
        """


class ParquetFolder:
    """Files in the hub's schema."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

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
        pa = require("pyarrow", extra="data")
        pq = require("pyarrow.parquet", extra="data")

        files = self._files(split)
        if not files:
            held = sorted(file.name for file in self._folder.iterdir())
            raise DataError(f"{self._folder} has no {split}*.parquet; it holds {held}")
        try:
            whole = pa.concat_tables([pq.read_table(file) for file in files])
        except Exception as error:
            raise DataError(f"{files[0]} cannot be read as Parquet: {error}") from error
        columns = whole.column_names
        image = next((name for name in ("img", "image") if name in columns), None)
        label = next((name for name in ("label", "fine_label", "labels") if name in columns), None)
        if image is not None and label is None and unlabelled:
            return _NOTHING
        if image is None or label is None:
            raise DataError(f"{files[0]} has columns {columns}; expected img or image, and label")
        if not len(whole):
            raise DataError(f"{files[0]} is empty: at least one image is needed")
        kind = whole.schema.field(label).type
        if not pa.types.is_integer(kind) and not pa.types.is_null(kind):
            raise DataError(
                f"{files[0]}: labels are of type {kind}; they must be whole numbers from 0"
            )
        rows = rng.permutation(len(whole))[:count] if count else np.arange(len(whole))
        table = whole.take(rows)
        labels = torch.tensor(
            [-1 if value is None else value for value in table.column(label).to_pylist()],
            dtype=torch.int64,
        )
        if int(labels.min()) < 0:
            if unlabelled:
                return _NOTHING
            raise DataError(
                f"{files[0]} has images without a label ({int(labels.min())}); labels count from 0"
            )
        encoded = [
            item if isinstance(item, bytes) else (item or {}).get("bytes") or b""
            for item in table.column(image).to_pylist()
        ]
        where = files[0] if len(files) == 1 else f"{files[0]} and those after it"
        return _decode(encoded, [f"row {row} of {where}" for row in rows]), labels

    def _files(self, split: SplitName) -> list[Path]:
        found = (sorted(self._folder.glob(f"{name}*.parquet")) for name in _NAMES[split])
        return next(filter(None, found), [])


class ImageFolder:
    """One folder of images per class; the classes are those of the training split."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def has(self, split: SplitName) -> bool:
        """Whether there is a folder of this name."""
        return self._root(split) is not None

    def read(
        self,
        split: SplitName,
        rng: np.random.Generator,
        count: int | None = None,
        *,
        unlabelled: bool = False,
    ) -> Split:
        """Images in an order that is drawn: classes come sorted, and every part should hold all of them."""
        root = self._root(split)
        if root is None:
            raise DataError(
                f"{self._folder} has neither {split}*.parquet nor a folder {split}/ with one folder per class"
            )
        if unknown := sorted(set(_classes(root)) - set(self._classes)):
            raise DataError(f"{root} has the class {unknown[0]!r}, which the training images lack")
        files = [
            (path, index)
            for index, name in enumerate(self._classes)
            if (root / name).is_dir()
            for path in sorted((root / name).iterdir())
            if path.is_file() and not path.name.startswith(".")
        ]
        if not files and unlabelled:
            return _NOTHING
        if not files:
            raise DataError(f"{root} is empty: at least one image is needed")
        files = [files[index] for index in rng.permutation(len(files))[:count]]
        names = [str(path) for path, _ in files]
        return _decode([path.read_bytes() for path, _ in files], names), torch.tensor(
            [index for _, index in files]
        )

    @cached_property
    def _classes(self) -> list[str]:
        root = self._root("train")
        return [] if root is None else _classes(root)

    def _root(self, split: SplitName) -> Path | None:
        return next(
            (self._folder / name for name in _NAMES[split] if (self._folder / name).is_dir()), None
        )


def _classes(root: Path) -> list[str]:
    return sorted(
        path.name for path in root.iterdir() if path.is_dir() and not path.name.startswith(".")
    )


def _decode(encoded: Sequence[bytes], names: Sequence[str]) -> Tensor:
    reader = require("PIL.Image", extra="data")

    arrays: list[np.ndarray] = []
    for item, name in zip(encoded, names, strict=True):
        try:
            arrays.append(np.asarray(reader.open(io.BytesIO(item)).convert("RGB")))
        except Exception as error:
            raise DataError(f"{name} cannot be decoded as an image: {error}") from error
        if arrays[-1].shape != arrays[0].shape:
            raise DataError(
                f"{name} is {arrays[-1].shape[:2]} pixels, {names[0]} is {arrays[0].shape[:2]}; all must agree"
            )
    return torch.from_numpy(np.stack(arrays)).permute(0, 3, 1, 2).contiguous()
