"""What the metadata of a weights file says of the inputs."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from sartor.data import Preprocessing
from sartor.errors import DataError, UsageError, WeightsError
from sartor.models.weights import read_metadata

_KEYS = ("mean", "std", "resize", "crop", "interpolation")
_ORIGIN = "from the weights' metadata"


def metadata_of(preprocessing: Preprocessing) -> dict[str, str]:
    """The entries that `of_weights` reads; those that say nothing are left out.

    >>> metadata_of(Preprocessing(resize=256, crop=(224, 192), mean=(0.5,), std=(0.25,)))
    {'mean': '0.5', 'std': '0.25', 'resize': '256', 'crop': '224,192', 'interpolation': 'bilinear'}
    """
    metadata = {}
    for key in _KEYS:
        value = getattr(preprocessing, key)
        if value is None or value == ():
            continue
        items = value if isinstance(value, tuple) else (value,)
        metadata[key] = ",".join(map(str, items))
    if preprocessing.resize is None:
        del metadata["interpolation"]
    return metadata


def of_weights(path: Path) -> Preprocessing | None:
    """How the inputs of trained weights are made; None if their file does not say.

    Raises `WeightsError` for a file that cannot be read, and for numbers that cannot be.
    """
    metadata = read_metadata(path)
    if not any(key in metadata for key in _KEYS):
        return None
    try:
        return Preprocessing(**_fields(metadata), origin=_ORIGIN)
    except (ValueError, UsageError, DataError) as error:
        raise WeightsError(f"weights {str(path)!r}: the metadata is wrong: {error}") from error


def _fields(metadata: Mapping[str, str]) -> dict[str, Any]:
    fields: dict[str, Any] = {}
    for key in ("mean", "std"):
        fields[key] = tuple(float(number) for number in _items(metadata, key))
    for key in ("resize", "crop"):
        sizes = tuple(int(number) for number in _items(metadata, key))
        if sizes:
            fields[key] = sizes[0] if len(sizes) == 1 else sizes
    if "interpolation" in metadata:
        fields["interpolation"] = metadata["interpolation"]
    return fields


def _items(metadata: Mapping[str, str], key: str) -> list[str]:
    return [item for item in metadata.get(key, "").split(",") if item]
