"""Labels of samples as one tensor."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from sartor.data._source import UNLABELLED
from sartor.errors import DataError


def stacked(labels: Sequence[Any], place: str) -> Tensor:
    """Labels as (count, …): whole numbers as int64, others as float32.

    Raises `DataError` for what are no numbers, and for labels of different shape.

    >>> stacked([3, None, 1], "the data")
    tensor([ 3, -1,  1])
    """
    if all(type(label) is int for label in labels):
        return torch.tensor(labels, dtype=torch.int64)

    items: list[Tensor] = []
    for label in labels:
        given = UNLABELLED if label is None else label
        try:
            item = torch.as_tensor(given)
        except Exception as error:  # torch raises many kinds
            raise DataError(
                f"{place} has the label {label!r}, a {type(label).__name__}; labels must be "
                "numbers, or arrays of them"
            ) from error
        if items and item.shape != items[0].shape:
            shapes = f"{tuple(items[0].shape)} and {tuple(item.shape)}"
            raise DataError(f"{place} has labels of the shapes {shapes}; they must be the same")
        items.append(item)

    tensor = torch.stack(items)
    return tensor.float() if tensor.is_floating_point() else tensor.long()
