"""The axis of a tensor along which its channels lie, by the units that they belong to."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor, fx

from sartor.graph._labelling import Labelling
from sartor.graph._labels import NEUTRAL, compact
from sartor.graph._layers import KEPT
from sartor.machine import IntArray

#: Units of labels.
UnitOf = Callable[[IntArray], IntArray]

#: Below all units: what carries no channel agrees with any.
_ANY = KEPT - 1


@dataclass(frozen=True, eq=False)
class Tracked:
    """Labels of a network, and the units of those.

    Attributes:
        labelled: The labels.
        unit_of: Their units, or `KEPT`.
    """

    labelled: Labelling
    unit_of: UnitOf

    def axis(self, twin: Tensor) -> tuple[int, IntArray] | None:
        """`channel_axis` of a twin of these labels."""
        return channel_axis(twin, self.unit_of)

    def number(self, node: fx.Node) -> int | None:
        """What a node gives that channels alone decide on; None of others."""
        if not is_of_channels(self.labelled, self.unit_of, node):
            return None
        value = self.labelled.values[node]
        return value if isinstance(value, int) else None


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


def is_of_channels(labelled: Labelling, unit_of: UnitOf, node: fx.Node) -> bool:
    """Whether a number is made of numbers of channels that may go alone, of no other sizes."""
    asked = _size_asked_for(labelled, node)
    if asked is not None:
        tensor, axis = asked
        twin = labelled.twins[tensor]
        found = channel_axis(twin, unit_of) if isinstance(twin, Tensor) else None
        if found is None:
            return False
        dim, units = found
        return dim == axis % twin.dim() and bool((units != KEPT).any())

    sources = node.all_input_nodes
    if any(isinstance(labelled.values[source], Tensor) for source in sources):
        return False
    return bool(sources) and all(is_of_channels(labelled, unit_of, source) for source in sources)


def _size_asked_for(labelled: Labelling, node: fx.Node) -> tuple[fx.Node, int] | None:
    """The tensor and the axis of ``x.size(1)`` and ``x.shape[1]``; None of other nodes."""
    if len(node.args) != 2 or not isinstance(node.args[1], int):
        return None
    args: Any = node.args
    source, axis = args
    if not isinstance(source, fx.Node):
        return None
    if isinstance(labelled.values[source], Tensor):
        return (source, axis) if node.target == "size" else None
    if isinstance(labelled.values[source], torch.Size):
        (tensor,) = source.all_input_nodes
        return tensor, axis
    return None


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
