"""Operators that combine tensors element by element."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, fx

from sartor.graph._labelling import Labelling
from sartor.graph._labels import is_neutral, spread, tied_along, varying_axes
from sartor.graph._twins import combine, pin_twins


def pointwise(labelled: Labelling, node: fx.Node, value: Any) -> Any:
    """Tensors broadcast together; channels that meet belong together.

    A tensor without channels, such as a parameter, takes over those that it meets.
    """
    carriers = labelled.carriers(node)
    shapes = [twin.shape for twin in carriers]
    if not isinstance(value, Tensor) or torch.broadcast_shapes(*shapes) != value.shape:
        return labelled.give_up(node, value)

    result = combine(labelled.labels, carriers, value.shape)
    for source in node.all_input_nodes:
        twin = labelled.twins[source]
        if isinstance(twin, Tensor) and is_neutral(twin):
            _adopt(labelled, node, source, result)
    return result


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
