"""One way to reshape, however it is written."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from torch import fx

from sartor.graph._operators import operator_name


def plain_reshapes(graph: fx.Graph, value_of: Callable[[fx.Node], Any]) -> None:
    """Rewrite ``view``, ``torch.reshape`` and ``unflatten`` as ``x.reshape(sizes)``.

    A view fails on channels-last tensors; reshape is the same otherwise. Sizes of axes that are
    not unflattened are asked of the tensor.
    """
    for node in list(graph.nodes):
        if node.op not in ("call_method", "call_function") or node.kwargs:
            continue
        name = operator_name(node)
        if name in ("view", "reshape") and _is_shape(node.args[1:]):
            node.op = "call_method"
            node.target = "reshape"
        elif name == "unflatten":
            _rewrite_unflatten(graph, node, value_of)


def _is_shape(given: tuple[Any, ...]) -> bool:
    """Whether arguments are sizes; a view may be one of another type."""
    sizes = given
    if len(given) == 1 and isinstance(given[0], (tuple, list)):
        sizes = tuple(given[0])
    return all(isinstance(size, (int, fx.Node)) for size in sizes)


def _rewrite_unflatten(graph: fx.Graph, node: fx.Node, value_of: Callable[[fx.Node], Any]) -> None:
    source, dim, sizes = node.args
    if not isinstance(source, fx.Node) or not isinstance(dim, int):
        return
    if not isinstance(sizes, (tuple, list)):
        return

    rank = value_of(source).dim()
    axis = dim % rank
    with graph.inserting_before(node):
        asked = [graph.call_method("size", (source, other)) for other in range(rank)]
    before = asked[:axis]
    after = asked[axis + 1 :]
    node.op = "call_method"
    node.target = "reshape"
    node.args = (source, [*before, *sizes, *after])
    graph.erase_node(asked[axis])
