"""Which channels belong together: a label follows every channel through the network.

Each activation has a twin of the same shape that holds, for each element, the label of the channel
it carries. Operators that move elements (reshape, concatenate, pad, split, shuffle) are run on the
twin itself, so their effect is exact by construction; operators that combine tensors element by
element merge the labels they meet.

What does not depend on the inputs (a parameter, a table of positions) carries no channels by
itself: where it meets some, it has those. Constant whole numbers (a buffer of indices, a mask) have
no twin: they say where elements go, and operators that move elements are run with their true
values.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import Tensor, fx

from sartor.graph._estimates import estimate_unknown
from sartor.graph._labelling import Labelling
from sartor.graph._operators import Effect
from sartor.graph._twins import pin_twins
from sartor.graph._values import tensors_within
from sartor.graph._walk import Walk
from sartor.graph.effects import (
    along_of_heads,
    along_one_axis,
    attend,
    attend_of_heads,
    embed,
    mix,
    mix_of_heads,
    move,
    pointwise,
    pointwise_of_heads,
    product,
    product_of_heads,
    reduce,
    reduce_of_heads,
    scale,
    scale_of_heads,
    spatial,
)

#: Labels of what a node gives, from what it reads and gives.
_Handler = Callable[[Labelling, fx.Node, Any], Any]

_HANDLERS: dict[Effect, _Handler] = {
    Effect.MIX: mix,
    Effect.EMBED: embed,
    Effect.SCALE: scale,
    Effect.POINTWISE: pointwise,
    Effect.SPATIAL: spatial,
    Effect.REDUCE: reduce,
    Effect.MOVE: move,
    Effect.ALONG: along_one_axis,
    Effect.PRODUCT: product,
    Effect.ATTEND: attend,
}

#: The same where whole heads of attention are followed.
_OF_HEADS: dict[Effect, _Handler] = {
    **_HANDLERS,
    Effect.MIX: mix_of_heads,
    Effect.SCALE: scale_of_heads,
    Effect.POINTWISE: pointwise_of_heads,
    Effect.REDUCE: reduce_of_heads,
    Effect.ALONG: along_of_heads,
    Effect.PRODUCT: product_of_heads,
    Effect.ATTEND: attend_of_heads,
}


@torch.no_grad()
def labelled(network: fx.GraphModule, *inputs: Tensor) -> Labelling:
    """Labels of every node of a network; ``inputs`` have a batch of one."""
    labelling = Labelling(network)
    walk = Walk(network, inputs, keep=True)
    labelling.values = walk.values

    def visit(node: fx.Node, value: Any) -> None:
        _label(labelling, node, value, _HANDLERS)

    walk.run(visit)
    estimate_unknown(labelling)
    return labelling


@torch.no_grad()
def labelled_heads(widths: Labelling) -> Labelling:
    """Labels of the same network that follow whole heads of attention, not their channels.

    A channel of attention has a place in the width of its head, and a head. The labels of
    ``widths`` tie the same place of all heads, these all places of one.
    """
    labelling = Labelling(widths.network)
    labelling.values = widths.values
    for node in widths.network.graph.nodes:
        _label(labelling, node, widths.values[node], _OF_HEADS)
    return labelling


def _label(
    labelling: Labelling, node: fx.Node, value: Any, handlers: Mapping[Effect, _Handler]
) -> None:
    effect = Effect.UNKNOWN
    if node.op.startswith("call"):
        effect = labelling.effect(node)

    # A size is the same for all inputs of a shape, so what is made of it counts as constant.
    of_shapes = effect in (Effect.SIZE, Effect.MAKE)
    if _reads_inputs(labelling, node) and not of_shapes:
        labelling.depends_on_inputs.add(node)

    labelling.twins[node] = _twin(labelling, node, value, effect, handlers)


def _reads_inputs(labelling: Labelling, node: fx.Node) -> bool:
    if node.op == "placeholder":
        return True
    sources = node.all_input_nodes
    return not labelling.depends_on_inputs.isdisjoint(sources)


def _twin(
    labelling: Labelling,
    node: fx.Node,
    value: Any,
    effect: Effect,
    handlers: Mapping[Effect, _Handler],
) -> Any:
    if node.op == "placeholder":
        return labelling.pinned_like(value, "network input")
    if node.op == "output":
        carriers = labelling.carriers(node)
        pin_twins(labelling.labels, carriers, "network output")
        return None

    if effect is Effect.SIZE:
        source = node.all_input_nodes[0]
        if _picks_the_largest(labelling, node):
            return labelling.twins[source][0]
        return labelling.pinned_like(value, f"part of what {source} gives")
    if effect is Effect.MAKE or not _carries(labelling, node, effect):
        return labelling.neutral_like(value)

    handler = handlers.get(effect)
    if handler is None or not tensors_within(value):
        return labelling.give_up(node, value)
    return handler(labelling, node, value)


def _picks_the_largest(labelling: Labelling, node: fx.Node) -> bool:
    """Whether a node is the ``.values`` of a maximum along an axis."""
    twin = labelling.twins[node.all_input_nodes[0]]
    return node.args[1:] == ("values",) and isinstance(twin, list)


def _carries(labelling: Labelling, node: fx.Node, effect: Effect) -> bool:
    """Whether what a node gives has, or may have, channels."""
    if effect in (Effect.MIX, Effect.EMBED):
        return True
    if node in labelling.depends_on_inputs:
        return labelling.reads_twins(node)
    return labelling.reads_channels(node)
