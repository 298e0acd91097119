"""Operators that combine tensors element by element."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, fx

from sartor.graph._labelling import Labelling
from sartor.graph._labels import is_neutral, spread, tied_along, varying_axes
from sartor.graph._operators import operator_name
from sartor.graph._twins import combine, pin_twins
from sartor.graph._values import tensors_within
from sartor.graph.effects._positions import reduce

#: What takes nothing but the type of other tensors than the first.
_OF_THE_FIRST = frozenset(["type_as", "to"])


def pointwise(labelled: Labelling, node: fx.Node, value: Any) -> Any:
    """Tensors broadcast together; channels that meet belong together.

    A tensor without channels, such as a parameter, takes over those that it meets.
    """
    if isinstance(value, tuple):
        # The largest along an axis, and where they are.
        largest, _ = value
        return [reduce(labelled, node, largest), None]

    sources = node.all_input_nodes
    if operator_name(node) in _OF_THE_FIRST:
        sources = sources[:1]
    carriers = tensors_within([labelled.carrier(source) for source in sources])
    if not isinstance(value, Tensor) or not _are_broadcast(carriers, value.shape):
        return labelled.give_up(node, value)

    result = combine(labelled.labels, carriers, value.shape)
    for source in sources:
        twin = labelled.twins[source]
        if isinstance(twin, Tensor) and is_neutral(twin):
            _adopt(labelled, node, source, result)
    return result


def _are_broadcast(twins: list[Tensor], shape: torch.Size) -> bool:
    """Whether a shape is what twins give that are combined element by element."""
    try:
        return torch.broadcast_shapes(*(twin.shape for twin in twins)) == shape
    except RuntimeError:
        return False


def _adopt(labelled: Labelling, node: fx.Node, source: fx.Node, result: Tensor) -> None:
    """Give a tensor without channels those of the result, if it differs from one to another."""
    twin = labelled.twins[source]
    missing = result.dim() - twin.dim()

    met = []
    for dim in varying_axes(labelled.labels, result):
        if dim >= missing and twin.shape[dim - missing] > 1:
            met.append(dim)
    if not met:
        return

    # One value for channels of several heads ties them.
    dim = met[0]
    channels = tied_along(labelled.labels, result, dim)
    if len(met) > 1 or channels is None:
        reason = f"combined with {source.name} along several axes"
        pin_twins(labelled.labels, [result], reason)
        return

    labels = spread(channels, twin.shape, dim - missing)
    labelled.adopt(node, source, labels)
