"""Whether labels count the classes in another order than the network."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from torch import Tensor

from sartor.machine import IntArray
from sartor.pipeline.diagnosis._cause import Cause

#: Share of the answers that another order must make right.
_RIGHT = 0.5
#: Labels that are named, the first ones.
_NAMED = 3


def other_order(
    answered: Tensor, labels: Tensor, classes: int, names: Sequence[str]
) -> Cause | None:
    """That answers (images,) are right once labels (images,) are mapped to other classes.

    The mapping is found on one half of the images and held against the other: on few images some
    mapping fits whatever was answered. None where none fits.
    """
    # In turns, because data sets may be sorted by class.
    found = _mapping(answered[::2], labels[::2], classes)
    right = _share_right(answered[1::2], labels[1::2], found)
    as_it_is = _share_right(answered[1::2], labels[1::2], {})
    if right < _RIGHT or right < 2 * as_it_is:
        return None

    moved = [label for label, answer in found.items() if label != answer]
    named = []
    for label in moved[:_NAMED]:
        name = f" ({names[label]})" if label < len(names) else ""
        named.append(f"label {label}{name} is answered as {found[label]}")
    more = ", …" if len(moved) > _NAMED else ""
    sentence = (
        f"the classes are in another order than the network's: {', '.join(named)}{more}; with its "
        f"own order {right:.0%} would be right"
    )
    return Cause(sentence, certain=True, right=right)


def few_classes(labels: Tensor, classes: int, names: Sequence[str]) -> Cause | None:
    """That images show only a part of the network's classes, so that others may be numbered."""
    count = len(names) or len(labels.unique())
    if 2 * count > classes:
        return None
    return Cause(
        f"the data has {count} of the network's {classes} classes; they must have its numbers, "
        "which a folder of classes does not know"
    )


def _mapping(answered: Tensor, labels: Tensor, classes: int) -> dict[int, int]:
    """The class that each label is most often answered with, each class for one label only."""
    # Takes half a second to import.
    from scipy.optimize import linear_sum_assignment

    counts: IntArray = np.zeros((classes, classes), dtype=np.int64)
    np.add.at(counts, (labels.numpy(), answered.numpy()), 1)
    rows, columns = linear_sum_assignment(counts, maximize=True)
    seen = counts.sum(axis=1)

    pairs = zip(rows.tolist(), columns.tolist(), strict=True)
    return {label: answer for label, answer in pairs if seen[label]}


def _share_right(answered: Tensor, labels: Tensor, mapping: dict[int, int]) -> float:
    if not len(labels):
        return 0.0
    expected = [mapping.get(label, label) for label in labels.tolist()]
    right = sum(int(a == b) for a, b in zip(answered.tolist(), expected, strict=True))
    return right / len(labels)
