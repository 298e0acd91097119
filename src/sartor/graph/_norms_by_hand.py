"""Norms that are written out (``x * rsqrt(x.pow(2).mean(-1, keepdim=True) + eps)``) as modules.

Sums over channels keep them whole; a norm of torch is known as a whole, and pruned through.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from torch import fx, nn

from sartor.graph._operators import operator_name

#: Adds a module to the network that stands for a node, and gives its name.
Place = Callable[[fx.Node, nn.Module], str]


def norms_as_modules(graph: fx.Graph, value_of: Callable[[fx.Node], Any], place: Place) -> None:
    """Rewrite RMS and layer norms without weights over one axis; what scales them stays behind."""
    for node in list(graph.nodes):
        found = _match(node)
        if found is None:
            continue

        entering, centred, dim, eps = found
        value = value_of(entering)
        axis = dim % value.dim()
        width = value.shape[axis]
        kind: Any = nn.LayerNorm if centred else nn.RMSNorm
        module = kind(width, eps=eps, elementwise_affine=False)
        name = place(node, module)

        order = [other for other in range(value.dim()) if other != axis] + [axis]
        back = [order.index(other) for other in range(value.dim())]
        with graph.inserting_before(node):
            new = _turned(graph, entering, order)
            new = graph.call_module(name, (new,))
            new = _turned(graph, new, back)
        node.replace_all_uses_with(new)


def _turned(graph: fx.Graph, node: fx.Node, order: list[int]) -> fx.Node:
    if order == sorted(order):
        return node
    return graph.call_method("permute", (node, order))


#: What enters, whether its mean is taken off, the axis, and the small number that is added.
_Found = tuple[fx.Node, bool, int, float]


def _match(node: fx.Node) -> _Found | None:
    """What a node that ends a norm computes; None of any other."""
    name = _name(node)
    args: Any = node.args
    if name == "mul" and len(args) == 2:
        for scaled, factor in (args, args[::-1]):
            if _name(factor) == "rsqrt":
                return _of_square(scaled, factor.args[0])
    if name in ("div", "truediv") and len(args) == 2:
        scaled, divisor = args
        if _name(divisor) == "sqrt":
            return _of_square(scaled, divisor.args[0])
    return None


def _of_square(scaled: Any, shifted: Any) -> _Found | None:
    """``shifted`` is the mean of squares of what is scaled, and a small number."""
    if _name(shifted) != "add" or len(shifted.args) != 2 or not isinstance(scaled, fx.Node):
        return None
    mean, eps = shifted.args
    dim = _axis_of_mean(mean)
    if dim is None or not isinstance(eps, float):
        return None
    if not _are_alike(_squared(mean.args[0]), scaled):
        return None

    entering = _without_mean(scaled, dim)
    if entering is not None:
        return entering, True, dim, eps
    return scaled, False, dim, eps


def _are_alike(a: Any, b: fx.Node) -> bool:
    """Whether two nodes are one, or do the same with the same."""
    if a is b:
        return True
    if not isinstance(a, fx.Node) or not _name(a):
        return False
    return (a.target, a.args, a.kwargs) == (b.target, b.args, b.kwargs)


def _squared(node: Any) -> Any:
    """What a node is the square of."""
    if _name(node) == "pow" and len(node.args) == 2 and node.args[1] == 2:
        return node.args[0]
    if _name(node) == "square":
        return node.args[0]
    if _name(node) == "mul" and len(node.args) == 2 and node.args[0] is node.args[1]:
        return node.args[0]
    return None


def _without_mean(node: fx.Node, dim: int) -> fx.Node | None:
    """What a node is without its mean along an axis."""
    if _name(node) != "sub" or len(node.args) != 2:
        return None
    args: Any = node.args
    whole, mean = args
    if not isinstance(whole, fx.Node) or _axis_of_mean(mean) != dim:
        return None
    return whole if mean.args[0] is whole else None


def _axis_of_mean(node: Any) -> int | None:
    """The one axis that a node takes a mean along, and keeps."""
    if _name(node) != "mean":
        return None
    given = dict(zip(("input", "dim", "keepdim"), node.args, strict=False)) | dict(node.kwargs)
    dim = given.get("dim")
    if isinstance(dim, (tuple, list)) and len(dim) == 1:
        (dim,) = dim
    return dim if isinstance(dim, int) and given.get("keepdim") is True else None


def _name(node: Any) -> str:
    if not isinstance(node, fx.Node) or node.op not in ("call_function", "call_method"):
        return ""
    return operator_name(node)
