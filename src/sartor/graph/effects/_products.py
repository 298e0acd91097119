"""Products of activations: attention, and the matrix products that it is written with."""

from __future__ import annotations

from typing import Any

import numpy as np
from torch import Tensor, fx

from sartor.graph._labelling import Labelling, ProductCall
from sartor.graph._labels import NEUTRAL, removable_axes, tied_along, varying_axes
from sartor.graph._twins import pin_twins
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
    _keep_what_cannot_go(labelled, node, left, right)
    if _goes(labelled, left, -1):
        return _contract(labelled, node, value, (left, right), macs)
    for passing in ((left, -2), (right, -1)):
        if _goes(labelled, *passing):
            return _pass_on(labelled, node, value, passing, macs)

    if removable_axes(labelled.labels, left) or removable_axes(labelled.labels, right):
        return labelled.give_up(node, value)
    labelled.products.append(ProductCall(node, _NONE, macs))
    return labelled.neutral_like(value)


def _keep_what_cannot_go(labelled: Labelling, node: fx.Node, left: Tensor, right: Tensor) -> None:
    """Of a product, what both sides sum over may go, or the other axis of one of them."""

    def keep(twin: Tensor) -> None:
        pin_twins(labelled.labels, [twin], f"meets {labelled.word_for(node)} along several axes")

    for twin in (left, right):
        if _goes(labelled, twin, -1) and _goes(labelled, twin, -2):
            keep(twin)
    if _goes(labelled, left, -1) != _goes(labelled, right, -2):
        keep(left if _goes(labelled, left, -1) else right)
    if _goes(labelled, left, -2) and _goes(labelled, right, -1):
        keep(left)


def attend(labelled: Labelling, node: fx.Node, value: Any) -> Any:
    """Scaled dot product attention; all heads lose the same positions of their widths."""
    *sources, _ = operands_of_attention(node)
    query, key, values = (_tied(labelled, labelled.carrier(source)) for source in sources)
    if value.dim() < 3 or not all(_along_last(labelled, twin) for twin in (query, key, values)):
        return labelled.give_up(node, value)

    channels = tied_along(labelled.labels, query, -1)
    others = tied_along(labelled.labels, key, -1)
    if channels is None or others is None or bool(channels.any()) != bool(others.any()):
        return labelled.give_up(node, value)

    # Of every query with every key, in all heads.
    *_, read, _ = key.shape
    pairs = value.numel() // value.shape[-1] * read
    _sum_over(labelled, node, channels, others, pairs)
    return _pass_on(labelled, node, value, (values, -1), pairs * value.shape[-1])


def operands_of_attention(node: fx.Node) -> list[Any]:
    """Nodes of queries, keys and values, and of what is added to their products, or None."""
    operands: list[Any] = []
    for place, name in enumerate(("query", "key", "value", "attn_mask")):
        given = node.args[place] if len(node.args) > place else node.kwargs.get(name)
        operands.append(given if isinstance(given, fx.Node) else None)
    return operands


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


def _goes(labelled: Labelling, twin: Tensor, dim: int) -> bool:
    """Whether channels along an axis may be removed."""
    return dim % twin.dim() in removable_axes(labelled.labels, twin)
