"""How inputs are made, from whatever object says it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from sartor.data import Preprocessing
from sartor.errors import UsageError
from sartor.machine import read_json
from sartor.models.preprocessing._registry import READERS
from sartor.registry import import_object

_FILE = "preprocessor_config.json"


def read_preprocessing(value: Any) -> Preprocessing:
    """How inputs are made, as an object says it.

    ``value`` may be a `Preprocessing`; a network of timm or its ``pretrained_cfg``; torchvision's
    ``weights``, ``weights.transforms()`` or a ``Compose``; a Hugging Face image processor; the
    folder of one, or ``package.module:object`` that is any of these.

    Raises `UsageError` for anything else, and for what cannot be followed.

    >>> config = {"input_size": (3, 224, 224), "crop_pct": 0.875, "interpolation": "bicubic",
    ...     "mean": (0.485, 0.456, 0.406), "std": (0.229, 0.224, 0.225)}
    >>> read_preprocessing(config).describe()
    "3 channels, shorter side 256 (bicubic), centre 224 x 224, mean 0.485,0.456,0.406
     std 0.229,0.224,0.225 (from timm's pretrained_cfg)"
    """
    if isinstance(value, Preprocessing):
        return value
    if isinstance(value, (str, Path)):
        value = _named(str(value))
        if isinstance(value, Preprocessing):
            return value

    for kind in READERS:
        reader = READERS.get(kind)
        if reader.recognises(value):
            return reader.read(value)
    raise UsageError(
        f"preprocessing is a {type(value).__name__}, which nothing can be read from; allowed are "
        "sartor.data.Preprocessing, timm's pretrained_cfg, torchvision's weights.transforms(), a "
        "Hugging Face image processor or the folder of one"
    )


def _named(name: str) -> Any:
    folder = Path(name)
    file = folder / _FILE if folder.is_dir() else folder
    if file.is_file():
        return read_json(file, missing=f"{file} does not exist", error=UsageError)
    if folder.is_dir():
        raise UsageError(f"preprocessing {name!r}: there is no {_FILE} in this folder")
    if ":" in name:
        return import_object(name, "preprocessing")
    raise UsageError(
        f"preprocessing {name!r} is neither a folder with a {_FILE} nor package.module:object"
    )
