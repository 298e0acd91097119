"""Data by name, by place, or from objects."""

from __future__ import annotations

import dataclasses
import inspect
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch

from sartor.data._data import Data
from sartor.data._images import Images, are_class_numbers
from sartor.data._preprocessing import Preprocessing
from sartor.data._registry import SOURCES
from sartor.data._source import Source
from sartor.data._splits import Plan
from sartor.data.decoding import Gathered, Storage, gather, stacked
from sartor.data.sources import Objects
from sartor.errors import DataError, SartorError, UsageError
from sartor.registry import did_you_mean, import_object

#: As a number of calibration images: all of the training split.
ALL = 10**9

#: In bytes.
_MB = 1e6

#: What those who hand over inputs rather than images have done themselves.
_ALREADY_NORMALISED = (
    "inputs are floating-point numbers beyond [0, 1]: they are taken as normalised, so that mean "
    "and std are not applied"
)


def load(
    source: Any,
    *,
    calibration: int,
    seed: int = 0,
    preprocessing: Preprocessing | None = None,
    storage: Storage | None = None,
) -> Data:
    """Data by name or place, or from objects that hold it.

    ``digits`` is scikit-learn's, without download. A folder of Parquet files follows the hub's
    image-classification schema, ``train*.parquet``, ``validation*.parquet`` (or ``val*``) and
    ``test*.parquet``; an image folder has ``train/CLASS/*`` and so on. `SOURCES` holds further
    kinds. ``package.module:callable`` is called with ``calibration`` and ``seed``, and gives a
    `Data`, a `Source`, or one of the following objects.

    An object is a mapping of ``train`` (or ``calibration``), ``validation`` and ``test`` to a torch
    ``DataLoader`` or ``Dataset``, a Hugging Face ``Dataset``, or an iterable of (inputs, targets);
    or one of these alone, half of which is then for training, a quarter each for the others.

    Where validation or test images are missing, or the latter have no labels, there is one split
    held out: its first half are the validation images, its second half the test images, after they
    were shuffled if one half would lack a class. `Data.remarks` say so.

    ``calibration`` images are drawn from the training split, `ALL` of them for training; ``seed``
    chooses them, and nothing else. Images are decoded as ``preprocessing`` says, which leaves
    tensors but for mean and std alone, and kept as ``storage`` says.

    Raises `DataError` for a missing or unreadable folder and `UsageError` for a name that cannot be
    imported, or an object of no kind that is known.

    >>> data = load("digits", calibration=64)
    >>> data.calibration.pixels.shape, data.class_count
    (torch.Size([64, 1, 8, 8]), 10)
    """
    if calibration < 1:
        raise UsageError(f"calibration must be at least 1 image, not {calibration}")

    made_of = preprocessing or Preprocessing()
    found = find(source, calibration=calibration, seed=seed)
    if isinstance(found, Data):
        return _scaled(found, made_of)

    # What objects hand over may be drawn anew each time; the host's generators stay as they are.
    with torch.random.fork_rng(devices=[]):
        torch.default_generator.manual_seed(0)
        return _read(found, calibration, seed, made_of, storage or Storage())


def find(source: Any, *, calibration: int, seed: int) -> Source | Data:
    """What holds the data, of which nothing is read yet, or what somebody's function makes."""
    if isinstance(source, (Data, Source)):
        return source
    if not isinstance(source, (str, Path)):
        return Objects(source).known()

    place = str(source)
    for kind in SOURCES:
        known = SOURCES.get(kind)
        if known.recognises(place):
            return known(place)

    if place.startswith("hf:"):
        raise UsageError(
            f"data {place!r}: download the data set first and give the folder of its Parquet "
            "files, or package.module:callable that loads it; nothing is fetched silently"
        )
    if Path(place).is_dir():
        raise DataError(
            f"{place} has neither train*.parquet nor a folder train/ with one folder per class"
        )
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
            made = made(**_accepted(made, calibration=calibration, seed=seed))
        except SartorError:
            raise
        except Exception as error:  # somebody else's code may raise anything
            raise UsageError(f"data {reference!r} cannot be loaded: {error}") from error
    if isinstance(made, (Data, Source)):
        return made
    return Objects(made, f"what data {reference!r} gives").known()


def _accepted(function: Callable[..., object], **arguments: int) -> dict[str, int]:
    """Those arguments that a function takes."""
    parameters = inspect.signature(function).parameters
    takes_any = any(item.kind is item.VAR_KEYWORD for item in parameters.values())
    return {name: value for name, value in arguments.items() if takes_any or name in parameters}


def _read(
    source: Source, calibration: int, seed: int, preprocessing: Preprocessing, storage: Storage
) -> Data:
    """What a source holds, decoded."""
    plan = Plan.of(source)
    train = plan.train
    drawn = train[np.arange(min(calibration, len(train)))]
    if not source.is_shuffled:
        drawn = train.drawn(calibration, np.random.default_rng(seed))

    left = storage.memory
    gathered: dict[str, Gathered] = {}
    parts = {"calibration": drawn, "validation": plan.validation, "test": plan.test}
    for name, part in parts.items():
        if part is None:
            continue
        room = dataclasses.replace(storage, memory=left)
        gathered[name] = gather(part.samples, part.numbers, preprocessing, room)
        left -= gathered[name].bytes_in_memory

    # A part that happens to be all grey is as colourful as the others.
    widest = max(part.pixels.shape[1] for part in gathered.values())
    images = {
        name: Images(part.pixels, part.labels).with_channels(widest)
        for name, part in gathered.items()
    }
    data = Data(
        **images,
        classes=tuple(source.classes) or _numbers(plan, gathered),
        remarks=(*plan.remarks, _sizes(gathered), f"inputs: {preprocessing.describe()}"),
    )
    return _scaled(data, preprocessing)


def _scaled(data: Data, preprocessing: Preprocessing) -> Data:
    """Images in the channels, and with the mean and standard deviation, that are asked for."""
    if preprocessing.channels is not None:
        data = data.with_channels(preprocessing.channels)
    if not preprocessing.mean:
        return data
    if data.exceeds_one:
        return dataclasses.replace(data, remarks=(*data.remarks, _ALREADY_NORMALISED))
    return data.normalised(preprocessing.mean, preprocessing.std)


def _numbers(plan: Plan, gathered: Mapping[str, Gathered]) -> tuple[str, ...]:
    """Numbers in place of names: classes must not depend on which images were drawn."""
    labels = [part.labels for name, part in gathered.items() if name != "calibration"]
    train = plan.train.samples
    of_training = train.known_labels()
    if of_training is not None:
        labels.append(stacked(of_training, train.place))

    if not all(map(are_class_numbers, labels)):
        return ()
    highest = max(int(some.max()) for some in labels)
    return tuple(str(label) for label in range(highest + 1))


def _sizes(gathered: Mapping[str, Gathered]) -> str:
    """How many images there are, how large, and where, in words."""
    parts = gathered.values()
    in_memory = sum(part.bytes_in_memory for part in parts)
    in_all = sum(part.pixels.nbytes for part in parts)
    on_disk = in_all - in_memory

    places = []
    if in_memory or not on_disk:
        places.append(f"{in_memory / _MB:,.0f} MB in memory")
    if on_disk:
        places.append(f"{on_disk / _MB:,.0f} MB on disk")

    counts = [f"{len(part.labels):,} for {name}" for name, part in gathered.items()]
    sides = gathered["validation"].pixels.shape[1:]
    shape = " x ".join(map(str, sides))
    return f"images of {shape}: {', '.join(counts)}; {' and '.join(places)}"
