"""The axis of a tensor along which its channels lie, by the units that they belong to."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from torch import Tensor

from sartor.graph._labels import NEUTRAL, compact
from sartor.graph._layers import KEPT
from sartor.machine import IntArray

#: Units of labels.
UnitOf = Callable[[IntArray], IntArray]

#: Below all units: what carries no channel agrees with any.
_ANY = KEPT - 1


def channel_axis(twin: Tensor, unit_of: UnitOf) -> tuple[int, IntArray] | None:
    """The axis along which units vary, with the unit of each index.

    None if they vary along several; the axis of channels, 1, if they vary along none.
    """
    candidates: dict[int, IntArray] = {}
    for dim in range(twin.dim()):
        units = _units_along(twin, dim, unit_of)
        if units is not None:
            candidates[dim] = units

    for dim, units in candidates.items():
        if (units != units[:1]).any():
            return dim, units

    if 1 in candidates:
        return 1, candidates[1]
    return next(iter(candidates.items()), None)


def _units_along(twin: Tensor, dim: int, unit_of: UnitOf) -> IntArray | None:
    """Unit of each index of an axis; None if units vary along others too."""
    labels = compact(twin, keep=dim).numpy().astype(np.int64)
    units = np.where(labels == NEUTRAL, _ANY, unit_of(labels))
    others = units.size // max(1, labels.shape[dim])
    rows = np.moveaxis(units, dim, 0).reshape(labels.shape[dim], others)

    unit = rows.max(1, keepdims=True, initial=_ANY)
    agrees = (rows == unit) | (rows == _ANY)
    if not agrees.all():
        return None
    return np.maximum(unit[:, 0], KEPT)
