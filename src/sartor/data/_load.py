"""Which images are for what: calibration and training, validation, test."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch

from sartor.data._folders import Folder, ImageFolder, ParquetFolder, Split
from sartor.data._images import Data, Images
from sartor.errors import DataError, UsageError
from sartor.machine import require

#: As a number of calibration images: all of the training split.
ALL = 10**9


def load(
    source: str | Path,
    *,
    calibration: int,
    seed: int = 0,
    mean: Sequence[float] = (),
    std: Sequence[float] = (),
) -> Data:
    """Data from ``digits`` (scikit-learn's, no download), a folder of Parquet files, or an image folder.

    The Parquet files follow the hub's image-classification schema, ``train*.parquet``, ``validation*.parquet`` (or ``val*``) and
    ``test*.parquet``; an image folder has ``train/CLASS/*`` and so on. Where validation or test images are missing, or the latter
    have no labels, there is one split held out: its first half are the validation images, its second half the test images, after
    they were shuffled if one half would lack a class. ``calibration`` images are drawn from the training split, `ALL` of them
    for training; ``seed`` chooses them, and nothing else.

    Raises `DataError` for a missing or unreadable folder and `UsageError` for a name that is no known source.
    """
    if calibration < 1:
        raise UsageError(f"calibration must be at least 1 image, not {calibration}")
    if str(source) == "digits":
        return _digits(calibration)
    if str(source).startswith("hf:"):
        raise UsageError(
            f"data {source!r}: download the data set first and give the folder of its Parquet files; nothing is fetched silently"
        )
    path = Path(source)
    if not path.is_dir():
        raise DataError(
            f"data {str(source)!r} is not a folder; allowed are a folder of Parquet files, an image folder, or digits"
        )
    folder: Folder = ParquetFolder(path) if any(path.glob("*.parquet")) else ImageFolder(path)
    rng = np.random.default_rng(seed)
    calibrating = folder.read("train", rng, calibration)
    validation, test = _held_out(
        folder, np.random.default_rng(0)
    )  # the same for every seed: runs are based on each other
    style = (tuple(mean), tuple(std))
    return Data(
        Images(*calibrating, *style),
        Images(*validation, *style),
        Images(*test, *style) if len(test[1]) else None,
    )


def _held_out(folder: Folder, rng: np.random.Generator) -> tuple[Split, Split]:
    """Validation and test images; what is held out once is halved."""
    if not (folder.has("validation") and folder.has("test")):
        return _halves(folder.read("validation" if folder.has("validation") else "test", rng), rng)
    validation, test = folder.read("validation", rng), folder.read("test", rng, unlabelled=True)
    return (validation, test) if len(test[1]) else _halves(validation, rng)


def _halves(split: Split, rng: np.random.Generator) -> tuple[Split, Split]:
    pixels, labels = split
    half = (len(labels) + 1) // 2
    if len(labels) > 1 and set(labels[:half].tolist()) != set(labels[half:].tolist()):
        order = torch.from_numpy(rng.permutation(len(labels)))  # rows sorted by class, most likely
        pixels, labels = pixels[order], labels[order]
    return (pixels[:half], labels[:half]), (pixels[half:], labels[half:])


def _digits(calibration: int) -> Data:
    """1,797 images of 8 × 8 pixels: 1,197 for training, 300 for validation, 300 for test."""
    digits = require("sklearn.datasets", extra="data").load_digits()
    order = np.random.default_rng(0).permutation(len(digits.target))
    pixels = torch.from_numpy((digits.images[order, None] / 16).astype(np.float32))
    labels = torch.from_numpy(digits.target[order].astype(np.int64))
    images = Images(pixels, labels)
    return Data(images.slice(600, 600 + calibration), images.slice(0, 300), images.slice(300, 600))
