"""Operators that work on the positions of every channel."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, fx

from sartor.graph._labelling import Labelling
from sartor.graph._labels import spread, tied_along, varying_axes
from sartor.graph._operators import operator_name

#: Axis along which `torch.nn.functional.normalize` works if nothing is said.
_SECOND = 1


def spatial(labelled: Labelling, node: fx.Node, value: Any) -> Any:
    """Mixes positions inside a channel; channels are second."""
    twin = labelled.carriers(node)[0]
    if not labelled.has_channels(twin):
        return labelled.neutral_like(value)

    channels = tied_along(labelled.labels, twin, 1)
    if channels is None or not isinstance(value, Tensor):
        return labelled.give_up(node, value)

    width = value.shape[1]
    if width != len(channels):
        return labelled.give_up(node, value)
    return spread(channels, value.shape, 1)


def reduce(labelled: Labelling, node: fx.Node, value: Tensor) -> Any:
    """Removes axes along which channels do not vary."""
    name = operator_name(node)
    twin = labelled.carriers(node)[0]
    if not labelled.has_channels(twin):
        return labelled.neutral_like(value)

    dims = reduced_axes(labelled, node)
    if dims is None or not isinstance(value, Tensor):
        reason = f"summed over all channels by {name}"
        return labelled.give_up(node, value, reason)
    keepdim = value.dim() == twin.dim()

    # Labels that are equal along the axes have one channel to give to the result.
    low = twin.amin(dims, keepdim=keepdim)
    high = twin.amax(dims, keepdim=keepdim)
    if not torch.equal(low, high):
        reason = f"summed over several channels by {name}"
        return labelled.give_up(node, value, reason)
    return high


def reduced_axes(labelled: Labelling, node: fx.Node) -> list[int] | None:
    """The axes that a node removes; None where it is told none."""
    place = 2 if operator_name(node).endswith("norm") else 1
    given = node.args[place] if len(node.args) > place else node.kwargs.get("dim")
    if given is None:
        return None
    dims: Any = fx.node.map_arg(given, labelled.values.__getitem__)
    return [dims] if isinstance(dims, int) else list(dims)


def along_one_axis(labelled: Labelling, node: fx.Node, value: Any) -> Any:
    """Mixes what lies along one axis; channels that vary along others pass."""
    twin = labelled.carriers(node)[0]
    dim = axis_of(labelled, node)
    if dim is None or not isinstance(value, Tensor) or twin.shape != value.shape:
        return labelled.give_up(node, value)
    if dim % twin.dim() in varying_axes(labelled.labels, twin):
        return labelled.give_up(node, value)
    return twin


def axis_of(labelled: Labelling, node: fx.Node) -> int | None:
    """The axis that a node works along; None where that is not known."""
    if node.op == "call_module":
        dim = getattr(labelled.module(node), "dim", None)
    elif operator_name(node).endswith("normalize"):
        dim = node.args[2] if len(node.args) > 2 else node.kwargs.get("dim", _SECOND)
    else:
        dim = node.args[1] if len(node.args) > 1 else node.kwargs.get("dim")
    return dim if isinstance(dim, int) else None
