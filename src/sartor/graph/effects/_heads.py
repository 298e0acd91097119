"""The same operators where whole heads are followed: all channels of a head are one unit.

What of a tensor varies along several axes are heads, and the channels within each: those are tied
wherever an operator works along their axis. What is left varies along the axis of heads alone.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import Tensor, fx, nn

from sartor.graph._labelling import Labelling
from sartor.graph._labels import NEUTRAL, compact, is_neutral, tie_within, varying_axes
from sartor.graph._layers import OVER_LAST_AXIS
from sartor.graph._twins import combine
from sartor.graph._values import tensors_within
from sartor.graph.effects._elementwise import pointwise
from sartor.graph.effects._layers import mix
from sartor.graph.effects._norms import scale
from sartor.graph.effects._positions import along_one_axis, axis_of, reduce, reduced_axes
from sartor.graph.effects._products import operands_of_attention

#: A matrix: its rows and columns.
_MATRIX = (-2, -1)


def mix_of_heads(labelled: Labelling, node: fx.Node, value: Tensor) -> Tensor:
    """A layer that works within heads, which are positions to it, keeps them."""
    dim = -1 if isinstance(labelled.module(node), nn.Linear) else 1
    tie_within(labelled.labels, labelled.carriers(node)[0], [dim])
    return mix(labelled, node, value)


def scale_of_heads(labelled: Labelling, node: fx.Node, value: Tensor) -> Any:
    """A norm over the channels of each head has nothing of one head."""
    twin = labelled.carriers(node)[0]
    over_last = isinstance(labelled.module(node), OVER_LAST_AXIS)
    if over_last and tie_within(labelled.labels, twin, [-1]):
        return twin
    return scale(labelled, node, value)


def pointwise_of_heads(labelled: Labelling, node: fx.Node, value: Any) -> Any:
    """A number for each channel of a head, and no more, has nothing of one head."""
    twins = tensors_within([labelled.twins[source] for source in node.all_input_nodes])
    widths = {twin.shape[-1] for twin in twins if twin.dim() and is_neutral(twin)}
    for twin in twins:
        if twin.dim() and twin.shape[-1] in widths - {1}:
            tie_within(labelled.labels, twin, [-1])
    return pointwise(labelled, node, value)


def along_of_heads(labelled: Labelling, node: fx.Node, value: Any) -> Any:
    """What works along the channels of each head."""
    dim = axis_of(labelled, node)
    if dim is not None:
        tie_within(labelled.labels, labelled.carriers(node)[0], [dim])
    return along_one_axis(labelled, node, value)


def reduce_of_heads(labelled: Labelling, node: fx.Node, value: Any) -> Any:
    """What is summed up over the channels of each head."""
    twin = labelled.carriers(node)[0]
    dims = reduced_axes(labelled, node)
    if dims is None or not isinstance(value, Tensor):
        return reduce(labelled, node, value)
    if not tie_within(labelled.labels, twin, dims):
        return reduce(labelled, node, value)
    return twin.amax(dims, keepdim=value.dim() == twin.dim())


def product_of_heads(labelled: Labelling, node: fx.Node, value: Any) -> Any:
    """Products of matrices, one for each head."""
    if not isinstance(value, Tensor) or len(node.args) != 2:
        return labelled.give_up(node, value)
    twins = [labelled.carrier(source) for source in node.all_input_nodes]
    return _head_by_head(labelled, node, value, [_heads(labelled, twin) for twin in twins])


def attend_of_heads(labelled: Labelling, node: fx.Node, value: Any) -> Any:
    """Queries, keys and values of each head."""
    *sources, mask = operands_of_attention(node)
    twins = [labelled.carrier(source) for source in sources]
    result = _head_by_head(labelled, node, value, [_heads(labelled, twin) for twin in twins])
    if mask is not None:
        _adopt_mask(labelled, node, mask, result)
    return result


def _heads(labelled: Labelling, twin: Tensor) -> Tensor | None:
    """Labels of the heads of matrices, with one row and one column; None of what has no heads."""
    if twin.dim() < 3:
        return None
    tie_within(labelled.labels, twin, _MATRIX)
    last = {twin.dim() - 2, twin.dim() - 1}
    if last & set(varying_axes(labelled.labels, twin)):
        return None
    return twin[..., :1, :1]


def _head_by_head(
    labelled: Labelling, node: fx.Node, value: Tensor, heads: list[Tensor | None]
) -> Any:
    """Labels of a product: heads that meet are one."""
    known = [twin for twin in heads if twin is not None and not is_neutral(twin)]
    if not known:
        if not labelled.reads_channels(node):
            return labelled.neutral_like(value)
        return labelled.pinned_like(value, "has no heads")

    shape = torch.Size([*value.shape[:-2], 1, 1])
    result = combine(labelled.labels, known, shape)
    found = compact(result).numpy().astype(np.int64).ravel()
    if NEUTRAL not in found:
        labelled.heads[node] = found
    return result.expand(value.shape)


def _adopt_mask(labelled: Labelling, node: fx.Node, mask: fx.Node, result: Tensor) -> None:
    """What is added to the products of each head has heads."""
    given = labelled.values[mask]
    if given.dim() < 3 or given.shape[-3] == 1:
        return

    # Windows and the like, which the batch counts too, have the heads of the first.
    heads = result[..., :1, :1]
    for dim in range(heads.dim() - 3):
        heads = heads.narrow(dim, 0, 1)
    while heads.dim() > given.dim():
        heads = heads[0]

    twin = labelled.twins[mask]
    if labelled.is_constant(mask):
        labelled.adopt(node, mask, heads.expand(given.shape))
    elif isinstance(twin, Tensor):
        combine(labelled.labels, [heads, twin], given.shape)
