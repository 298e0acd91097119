"""What one item of somebody's data set is: inputs and targets."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from sartor.errors import DataError

#: What a column of images, or the entry of an item, may be called.
IMAGE_NAMES = ("img", "image", "images", "pixel_values", "inputs")
LABEL_NAMES = ("label", "fine_label", "labels", "targets", "target")

#: Axes of a batch of images, or of sequences: one more than an item of it has.
_AXES_OF_BATCHES = (2, 4)


def first_name(names: Sequence[str], held: Iterable[str]) -> str | None:
    """The first of some names that is there.

    >>> first_name(LABEL_NAMES, ["image", "label"])
    'label'
    """
    there = set(held)
    for name in names:
        if name in there:
            return name
    return None


def pair_of(item: Any, place: str) -> tuple[Any, Any]:
    """Inputs and targets of an item. Raises `DataError` for an item that is no such pair."""
    if isinstance(item, Mapping):
        image = first_name(IMAGE_NAMES, item)
        label = first_name(LABEL_NAMES, item)
        if image is None:
            raise DataError(
                f"{place} gives items with the entries {', '.join(map(str, item))}; expected one "
                f"of {', '.join(IMAGE_NAMES)}, and one of {', '.join(LABEL_NAMES)}"
            )
        return item[image], None if label is None else item[label]

    if isinstance(item, Sequence) and not isinstance(item, (str, bytes)) and len(item) == 2:
        return item[0], item[1]
    raise DataError(
        f"{place} gives items of type {type(item).__name__}; each must be a pair of inputs and "
        "targets, or a mapping of them"
    )


def is_batch(inputs: Any, targets: Any) -> bool:
    """Whether a pair is one of several samples.

    >>> import numpy as np
    >>> is_batch(np.zeros((2, 3, 8, 8)), np.zeros(2)), is_batch(np.zeros((3, 8, 8)), np.zeros(3))
    (True, False)
    """
    if isinstance(inputs, list):
        return True
    axes = getattr(inputs, "ndim", 0)
    return axes in _AXES_OF_BATCHES and _length(targets) == len(inputs)


def unbatched(inputs: Any, targets: Any, place: str) -> Iterator[tuple[Any, Any]]:
    """The samples of a batch. Raises `DataError` unless there is one target for each input."""
    if _length(targets) != len(inputs):
        raise DataError(
            f"{place} gives a batch of {len(inputs)} inputs and {_length(targets)} targets; there "
            "must be one for each input"
        )
    yield from zip(inputs, targets, strict=True)


def _length(targets: Any) -> int | None:
    """How many there are; None for a single one."""
    if getattr(targets, "ndim", 1) == 0 or not hasattr(targets, "__len__"):
        return None
    return len(targets)
