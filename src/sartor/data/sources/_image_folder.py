"""Folders of image files, one folder per class."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import cached_property
from pathlib import Path

from sartor.data._source import NAMES, Sample, Samples, Source, SplitName
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

    def samples(self, split: SplitName) -> FileSamples:
        """The files of a split, sorted by class, then by name."""
        root = self._root(split)
        if root is None:
            raise DataError(no_split_in(self.place, split))
        self._require_known_classes(root)
        return FileSamples(root, self.classes)

    def _require_known_classes(self, root: Path) -> None:
        folders = set(_folders_in(root))
        unknown = sorted(folders - set(self.classes))
        if unknown:
            raise DataError(f"{root} has the class {unknown[0]!r}, which the training images lack")

    def _root(self, split: SplitName) -> Path | None:
        for name in NAMES[split]:
            folder = self.place / name
            if folder.is_dir():
                return folder
        return None


class FileSamples(Samples):
    """The image files below a folder, labelled by the folder that they lie in."""

    def __init__(self, root: Path, classes: tuple[str, ...]) -> None:
        self.place = str(root)
        self.classes = classes
        self._root = root

    def __len__(self) -> int:
        return len(self._files)

    def read(self, numbers: Sequence[int]) -> Iterator[Sample]:
        for number in numbers:
            path, label = self._files[number]
            yield Sample(path.read_bytes(), label, str(path))

    def known_labels(self) -> list[int]:
        return [label for _, label in self._files]

    @cached_property
    def identity(self) -> str:  # type: ignore[override]
        """Where the files lie, how large they are and when they were changed."""
        lines = [f"files {self._root.resolve()}"]
        for path, label in self._files:
            facts = path.stat()
            lines.append(f"{label} {path.name} {facts.st_size} {facts.st_mtime_ns}")
        return "\n".join(lines)

    @cached_property
    def _files(self) -> list[tuple[Path, int]]:
        """All files with their labels, sorted."""
        found: list[tuple[Path, int]] = []

        for label, name in enumerate(self.classes):
            folder = self._root / name
            # A split may lack a class that the training images have.
            if not folder.is_dir():
                continue

            for path in sorted(folder.iterdir()):
                if path.is_file() and not _is_hidden(path):
                    found.append((path, label))

        return found


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
