"""Folders of image files, one folder per class."""

from __future__ import annotations

from functools import cached_property
from pathlib import Path

import numpy as np
import torch

from sartor.data._decode import decode
from sartor.data._source import NAMES, NOTHING, Source, Split, SplitName
from sartor.errors import DataError


class ImageFolder(Source):
    """``train/CLASS/*`` and so on; the classes are the folders of the training split."""

    @staticmethod
    def recognises(place: str) -> bool:
        """Whether it is a folder that holds one for a split."""
        source = ImageFolder(place)
        return any(source.has(split) for split in NAMES)

    @cached_property
    def classes(self) -> tuple[str, ...]:  # type: ignore[override]
        """Names of the folders of the training images, sorted."""
        root = self._root("train")
        return () if root is None else _folders_in(root)

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
        """Images in an order that is drawn: classes come sorted, and every part needs all."""
        root = self._root(split)
        if root is None:
            raise DataError(no_split_in(self.place, split))
        self._require_known_classes(root)

        files = self._files(root)
        if not files and unlabelled:
            return NOTHING
        if not files:
            raise DataError(f"{root} is empty: at least one image is needed")

        order = rng.permutation(len(files))
        drawn = [files[index] for index in order[:count]]

        names = [str(path) for path, _ in drawn]
        encoded = [path.read_bytes() for path, _ in drawn]
        pixels = decode(encoded, names)

        labels = [label for _, label in drawn]
        return Split(pixels, torch.tensor(labels))

    def _require_known_classes(self, root: Path) -> None:
        folders = set(_folders_in(root))
        unknown = sorted(folders - set(self.classes))
        if unknown:
            raise DataError(f"{root} has the class {unknown[0]!r}, which the training images lack")

    def _files(self, root: Path) -> list[tuple[Path, int]]:
        """Files of a split with their labels, sorted."""
        found: list[tuple[Path, int]] = []

        for label, name in enumerate(self.classes):
            folder = root / name
            # A split may lack a class that the training images have.
            if not folder.is_dir():
                continue

            for path in sorted(folder.iterdir()):
                if path.is_file() and not _is_hidden(path):
                    found.append((path, label))

        return found

    def _root(self, split: SplitName) -> Path | None:
        for name in NAMES[split]:
            folder = self.place / name
            if folder.is_dir():
                return folder
        return None


def no_split_in(place: Path, split: SplitName) -> str:
    """What is missing in a folder, in words."""
    return f"{place} has neither {split}*.parquet nor a folder {split}/ with one folder per class"


def _folders_in(root: Path) -> tuple[str, ...]:
    names = []
    for path in root.iterdir():
        if path.is_dir() and not _is_hidden(path):
            names.append(path.name)
    return tuple(sorted(names))


def _is_hidden(path: Path) -> bool:
    # File managers leave such files and folders behind.
    return path.name.startswith(".")
