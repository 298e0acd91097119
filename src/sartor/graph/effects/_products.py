"""Products of activations: attention, and the matrix products that it is written with."""

from __future__ import annotations

from typing import Any

import numpy as np
from torch import Tensor, fx

from sartor.graph._labelling import Labelling, ProductCall
from sartor.graph._labels import NEUTRAL, is_neutral, tied_along, varying_axes
from sartor.machine import IntArray

_NONE = np.array([NEUTRAL], dtype=np.int64)


def product(labelled: Labelling, node: fx.Node, value: Any) -> Any:
    """``a @ b``: summed over the last axis of one and the last but one of the other."""
    sources = node.all_input_nodes
    twins = [labelled.twins[source] for source in sources]
    if len(node.args) != 2 or not all(isinstance(twin, Tensor) for twin in twins):
        return labelled.give_up(node, value)

    left, right = (labelled.twins[source] for source in node.args)  # type: ignore[index]
    if left.dim() < 3 or right.dim() < 3:
        return labelled.give_up(node, value)

    macs = value.numel() * left.shape[-1]
    summed = (_varies(labelled, left, -1), _varies(labelled, right, -2))
    free = (_varies(labelled, left, -2), _varies(labelled, right, -1))
    if any(summed) and not any(free):
        return _contract(labelled, node, value, (left, right), macs)
    if any(summed) or all(free):
        return labelled.give_up(node, value)

    if any(free):
        passing = (left, -2) if free[0] else (right, -1)
        return _pass_on(labelled, node, value, passing, macs)
    if is_neutral(left) and is_neutral(right):
        labelled.products.append(ProductCall(node, _NONE, macs))
        return labelled.neutral_like(value)
    return labelled.give_up(node, value)


def attend(labelled: Labelling, node: fx.Node, value: Any) -> Any:
    """Scaled dot product attention; all heads lose the same positions of their widths."""
    arguments = [*node.args, *(node.kwargs.get(name) for name in ("query", "key", "value"))]
    sources = [item for item in arguments if isinstance(item, fx.Node)][:3]
    query, key, values = (_tied(labelled, labelled.twins[source]) for source in sources)
    if value.dim() < 3 or not all(_along_last(labelled, twin) for twin in (query, key, values)):
        return labelled.give_up(node, value)

    channels = tied_along(labelled.labels, query, -1)
    others = tied_along(labelled.labels, key, -1)
    if channels is None or others is None or bool(channels.any()) != bool(others.any()):
        return labelled.give_up(node, value)

    # Of every query with every key, in all heads.
    *_, read, _ = labelled.values[sources[1]].shape
    pairs = value.numel() // value.shape[-1] * read
    _sum_over(labelled, node, channels, others, pairs)
    return _pass_on(labelled, node, value, (values, -1), pairs * value.shape[-1])


def _along_last(labelled: Labelling, twin: Tensor) -> bool:
    """Whether channels vary along no other axis than the last."""
    return set(varying_axes(labelled.labels, twin)) <= {twin.dim() - 1}


def _tied(labelled: Labelling, twin: Tensor) -> Tensor:
    """The same twin, whose channels are tied along its last axis."""
    tied_along(labelled.labels, twin, -1)
    return twin


def _contract(
    labelled: Labelling, node: fx.Node, value: Any, twins: tuple[Tensor, Tensor], macs: int
) -> Any:
    """Queries and keys: what one loses, the other loses."""
    left, right = twins
    mine = tied_along(labelled.labels, left, -1)
    theirs = tied_along(labelled.labels, right, -2)
    if mine is None or theirs is None:
        return labelled.give_up(node, value)
    if NEUTRAL in mine or NEUTRAL in theirs:
        return labelled.give_up(node, value)

    _sum_over(labelled, node, mine, theirs, macs / len(mine))
    return labelled.neutral_like(value)


def _sum_over(
    labelled: Labelling, node: fx.Node, mine: IntArray, theirs: IntArray, macs: float
) -> None:
    labelled.labels.merge_all(mine, theirs)
    labelled.consumed.append(mine)
    labelled.products.append(ProductCall(node, mine, macs))


def _pass_on(
    labelled: Labelling, node: fx.Node, value: Tensor, passing: tuple[Tensor, int], macs: float
) -> Any:
    """Values: each is a sum of values of one channel, along an axis of one of the two."""
    twin, dim = passing
    channels = tied_along(labelled.labels, twin, dim)
    if channels is None:
        return labelled.give_up(node, value)
    _tie_fused(labelled, channels)
    labelled.products.append(ProductCall(node, channels, macs / len(channels)))

    shape = list(value.shape)
    view = [1] * len(shape)
    view[dim] = -1
    first = twin
    for axis in range(twin.dim()):
        if axis != dim % twin.dim():
            first = first.narrow(axis, 0, 1)
    return first.reshape(view).expand(shape)


def _tie_fused(labelled: Labelling, channels: IntArray) -> None:
    """Queries, keys and values that one layer makes are told apart at fixed places.

    So all of them are of one width.
    """
    origins = {labelled.labels.origin(label) for label in channels.tolist()}
    for summed in labelled.consumed:
        same = origins & {labelled.labels.origin(label) for label in summed.tolist()}
        if same and len(summed) == len(channels):
            labelled.labels.merge_all(summed, channels)


def _varies(labelled: Labelling, twin: Tensor, dim: int) -> bool:
    return dim % twin.dim() in varying_axes(labelled.labels, twin)
