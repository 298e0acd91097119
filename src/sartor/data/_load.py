"""Which images are for what: calibration and training, validation, test."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch

from sartor.data._image_folder import no_split_in
from sartor.data._images import Data, Images, repeat_grey
from sartor.data._registry import SOURCES
from sartor.data._source import Source, Split
from sartor.errors import DataError, SartorError, UsageError
from sartor.registry import did_you_mean, import_object

#: As a number of calibration images: all of the training split.
ALL = 10**9


def load(
    source: str | Path | Source | Data,
    *,
    calibration: int,
    seed: int = 0,
    mean: Sequence[float] = (),
    std: Sequence[float] = (),
) -> Data:
    """Data by name or place.

    ``digits`` is scikit-learn's, without download. A folder of Parquet files follows the hub's
    image-classification schema, ``train*.parquet``, ``validation*.parquet`` (or ``val*``) and
    ``test*.parquet``; an image folder has ``train/CLASS/*`` and so on. `SOURCES` holds further
    kinds. ``package.module:callable`` is called with ``calibration`` and ``seed``, and gives a
    `Data` or a `Source`; so may ``source`` be one.

    Where validation or test images are missing, or the latter have no labels, there is one split
    held out: its first half are the validation images, its second half the test images, after they
    were shuffled if one half would lack a class.

    ``calibration`` images are drawn from the training split, `ALL` of them for training; ``seed``
    chooses them, and nothing else. ``mean`` and ``std`` have one number per channel; grey images
    are repeated to as many channels.

    Raises `DataError` for a missing or unreadable folder and `UsageError` for a name that cannot be
    imported.

    >>> data = load("digits", calibration=64)
    >>> data.calibration.pixels.shape, data.class_count
    (torch.Size([64, 1, 8, 8]), 10)
    """
    if calibration < 1:
        raise UsageError(f"calibration must be at least 1 image, not {calibration}")

    if isinstance(source, (Source, Data)):
        found: Source | Data = source
    else:
        found = _find(str(source), calibration=calibration, seed=seed)
    if isinstance(found, Data):
        return _normalised(found, mean, std)

    rng = np.random.default_rng(seed)
    drawn = found.read("train", rng, calibration)

    # The same for every seed: runs are based on each other.
    fixed_rng = np.random.default_rng(0)
    validation, test = _held_out(found, fixed_rng)

    splits = [drawn, validation, test]
    drawn, validation, test = _alike(splits, channels=len(mean))
    return Data(
        calibration=_images(drawn, mean, std),
        validation=_images(validation, mean, std),
        test=_images(test, mean, std) if len(test) else None,
        classes=tuple(found.classes),
        remarks=_halving(found, len(validation), len(test)),
    )


def _images(split: Split, mean: Sequence[float], std: Sequence[float]) -> Images:
    return Images(split.pixels, split.labels, tuple(mean), tuple(std))


def _find(place: str, *, calibration: int, seed: int) -> Source | Data:
    """The source at a place, or what somebody's function makes."""
    for kind in SOURCES:
        source = SOURCES.get(kind)
        if source.recognises(place):
            return source(place)

    if place.startswith("hf:"):
        raise UsageError(
            f"data {place!r}: download the data set first and give the folder of its Parquet "
            "files; nothing is fetched silently"
        )
    if Path(place).is_dir():
        raise DataError(no_split_in(Path(place), "train"))
    if ":" in place:
        return _call(place, calibration=calibration, seed=seed)

    meant = did_you_mean(place, SOURCES)
    raise DataError(
        f"data {place!r} is not a folder; {meant}allowed are a folder of Parquet files, "
        "an image folder, digits, or package.module:callable"
    )


def _call(reference: str, *, calibration: int, seed: int) -> Source | Data:
    made = import_object(reference, "data")
    if callable(made):
        try:
            made = made(calibration=calibration, seed=seed)
        except SartorError:
            raise
        except Exception as error:  # somebody else's code may raise anything
            raise UsageError(f"data {reference!r} cannot be loaded: {error}") from error
    if not isinstance(made, (Data, Source)):
        raise UsageError(
            f"data {reference!r} gives a {type(made).__name__}; "
            "it must give sartor.Data or a sartor.data.Source"
        )
    return made


def _normalised(data: Data, mean: Sequence[float], std: Sequence[float]) -> Data:
    """Images with a mean and standard deviation, unless they have their own."""
    if not mean:
        return data

    def normalised(images: Images) -> Images:
        if images.mean:
            return images
        images = images.with_channels(len(mean))
        return dataclasses.replace(images, mean=tuple(mean), std=tuple(std))

    test = data.test
    if test is not None:
        test = normalised(test)

    return dataclasses.replace(
        data,
        calibration=normalised(data.calibration),
        validation=normalised(data.validation),
        test=test,
    )


def _held_out(source: Source, rng: np.random.Generator) -> tuple[Split, Split]:
    """Validation and test images; what is held out once is halved."""
    if not source.has("validation"):
        test = source.read("test", rng)
        return _halves(test, rng)

    validation = source.read("validation", rng)
    if not source.has("test"):
        return _halves(validation, rng)

    # Those of a competition, for instance, are published without labels.
    test = source.read("test", rng, unlabelled=True)
    if not len(test):
        return _halves(validation, rng)
    return validation, test


def _halving(source: Source, validation: int, test: int) -> tuple[str, ...]:
    """That the images held out were halved, if they were."""
    if source.has("validation") and source.has("test"):
        return ()
    split, missing = ("test", "validation")
    if source.has("validation"):
        split, missing = missing, split
    return (
        f"there is no {missing} split: the {split} split was halved, {validation:,} validation "
        f"images and {test:,} test images",
    )


def _halves(split: Split, rng: np.random.Generator) -> tuple[Split, Split]:
    count = len(split)
    # Validation has the odd one: a single image is scored, not tested.
    half = (count + 1) // 2

    first_classes = split.labels[:half].unique()
    second_classes = split.labels[half:].unique()
    if count > 1 and not torch.equal(first_classes, second_classes):
        # Rows sorted by class, most likely.
        order = rng.permutation(count)
        split = split[torch.from_numpy(order)]

    validation = split[:half]
    test = split[half:]
    return validation, test


def _alike(splits: Sequence[Split], channels: int) -> list[Split]:
    """Splits of the same number of channels, at least ``channels``, and the same kind of number."""
    in_floats = False
    for split in splits:
        # An empty split has a shape, but says nothing.
        if not len(split):
            continue
        pixels = split.pixels
        channels = max(channels, pixels.shape[1])
        in_floats |= pixels.is_floating_point()

    alike = []
    for split in splits:
        pixels = split.pixels
        if in_floats and pixels.dtype == torch.uint8:
            pixels = pixels.float() / 255

        pixels = repeat_grey(pixels, channels)
        part = Split(pixels, split.labels)
        alike.append(part)

    return alike
