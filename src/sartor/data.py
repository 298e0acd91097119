"""Labelled images held in memory, and the folders they come from."""

from __future__ import annotations

import io
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from sartor.errors import DataError, UsageError

#: As a number of calibration images: all of the training split.
ALL = 10**9


@dataclass(frozen=True, eq=False)
class Images:
    """Images as stored, (count, channels, height, width), with one label each.

    uint8 images are scaled to [0, 1] on use; ``mean`` and ``std`` (one number per channel) are then applied.
    """

    pixels: Tensor
    labels: Tensor
    mean: tuple[float, ...] = ()
    std: tuple[float, ...] = ()

    def __post_init__(self) -> None:
        if not len(self.pixels):
            raise DataError("the data set is empty: at least one image is needed")
        if len(self.pixels) != len(self.labels):
            raise DataError(f"{len(self.pixels)} images but {len(self.labels)} labels; there must be one label per image")
        channels = self.pixels.shape[1]
        if self.mean and not len(self.mean) == len(self.std) == channels:
            raise DataError(f"mean {self.mean} and std {self.std} must have one number for each of {channels} channels")

    def __len__(self) -> int:
        return len(self.pixels)

    def slice(self, start: int, stop: int | None = None) -> Images:
        """Images ``start`` to ``stop`` − 1."""
        return Images(self.pixels[start:stop], self.labels[start:stop], self.mean, self.std)

    def normalized(self) -> Tensor:
        """All images as the network wants them, float32."""
        x = self.pixels.float()
        if self.pixels.dtype == torch.uint8:
            x = x / 255
        if self.mean:
            shape = (1, -1, *(1,) * (x.dim() - 2))
            x = (x - torch.tensor(self.mean).view(shape)) / torch.tensor(self.std).view(shape)
        return x


@dataclass(frozen=True, eq=False)
class Data:
    """What a search needs: ``calibration`` images (unlabelled use), ``validation`` for the reward, ``test`` scored once."""

    calibration: Images
    validation: Images
    test: Images | None = None


def load(source: str | Path, *, calibration: int, seed: int = 0, mean: Sequence[float] = (), std: Sequence[float] = ()) -> Data:
    """Data from ``digits`` (scikit-learn's, no download), a folder of Parquet files, or an image folder.

    The Parquet files follow the hub's image-classification schema, ``train*.parquet`` and ``test*.parquet`` (or
    ``validation*``); an image folder has ``train/CLASS/*`` and ``test/CLASS/*``. The first half of the test split becomes
    the validation images, the second half the test images; ``calibration`` images are drawn from the training split, `ALL` of
    them for training.
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
    folder = Path(source)
    if not folder.is_dir():
        raise DataError(
            f"data {str(source)!r} is not a folder; allowed are a folder of Parquet files, an image folder, or digits"
        )
    reader = _read_parquet if any(folder.glob("*.parquet")) else _read_folder
    rng = np.random.default_rng(seed)
    train = reader(folder, ("train",), calibration, rng)
    held_out = reader(folder, ("test", "validation", "val"), None, rng)
    half = (len(held_out[1]) + 1) // 2
    style = (tuple(mean), tuple(std))
    return Data(
        calibration=Images(*train, *style),
        validation=Images(held_out[0][:half], held_out[1][:half], *style),
        test=Images(held_out[0][half:], held_out[1][half:], *style) if len(held_out[1]) > half else None,
    )


def _read_parquet(folder: Path, names: tuple[str, ...], count: int | None, rng: np.random.Generator) -> tuple[Tensor, Tensor]:
    import pyarrow as pa
    import pyarrow.parquet as pq

    files = [file for name in names for file in sorted(folder.glob(f"{name}*.parquet"))]
    if not files:
        raise DataError(f"{folder} has no {names[0]}*.parquet; it holds {sorted(file.name for file in folder.iterdir())}")
    try:
        tables = [pq.read_table(file) for file in files]
    except Exception as error:
        raise DataError(f"{files[0]} cannot be read as Parquet: {error}") from error
    columns = tables[0].column_names
    image = next((name for name in ("img", "image") if name in columns), None)
    label = next((name for name in ("label", "fine_label", "labels") if name in columns), None)
    if image is None or label is None:
        raise DataError(f"{files[0]} has columns {columns}; expected img or image, and label")
    rows = sum(len(table) for table in tables)
    if not rows:
        raise DataError(f"{files[0]} is empty: at least one image is needed")
    chosen = rng.permutation(rows)[:count] if count else np.arange(rows)
    table = pa.concat_tables(tables).take(chosen)
    encoded = [row["bytes"] if row else b"" for row in table.column(image).to_pylist()]
    return _decode(encoded, str(files[0])), torch.tensor(table.column(label).to_pylist(), dtype=torch.int64)


def _read_folder(folder: Path, names: tuple[str, ...], count: int | None, rng: np.random.Generator) -> tuple[Tensor, Tensor]:
    root = next((folder / name for name in names if (folder / name).is_dir()), None)
    if root is None:
        raise DataError(f"{folder} has neither {names[0]}*.parquet nor a folder {names[0]}/ with one folder per class")
    classes = sorted(path.name for path in root.iterdir() if path.is_dir())
    files = [(path, index) for index, name in enumerate(classes) for path in sorted((root / name).iterdir()) if path.is_file()]
    if not files:
        raise DataError(f"{root} is empty: at least one image is needed")
    order = rng.permutation(len(files))  # classes come sorted; every prefix should hold all of them
    files = [files[index] for index in order[:count]]
    return _decode([path.read_bytes() for path, _ in files], str(root)), torch.tensor([index for _, index in files])


def _decode(encoded: Sequence[bytes], place: str) -> Tensor:
    from PIL import Image

    arrays = []
    for index, item in enumerate(encoded):
        try:
            arrays.append(np.asarray(Image.open(io.BytesIO(item)).convert("RGB")))
        except Exception as error:
            raise DataError(f"image {index} of {place} cannot be decoded: {error}") from error
        if arrays[-1].shape != arrays[0].shape:
            raise DataError(
                f"image {index} of {place} is {arrays[-1].shape[:2]} pixels, the first is {arrays[0].shape[:2]}; all must agree"
            )
    return torch.from_numpy(np.stack(arrays)).permute(0, 3, 1, 2).contiguous()


def _digits(calibration: int) -> Data:
    """1,797 images of 8 × 8 pixels: 1,197 for training, 300 for validation, 300 for test."""
    from sklearn.datasets import load_digits

    digits = load_digits()
    order = np.random.default_rng(0).permutation(len(digits.target))
    pixels = torch.from_numpy((digits.images[order, None] / 16).astype(np.float32))
    labels = torch.from_numpy(digits.target[order].astype(np.int64))
    images = Images(pixels, labels)
    return Data(images.slice(600, 600 + calibration), images.slice(0, 300), images.slice(300, 600))
