"""Operators of PyTorch's dispatcher (``aten.add.Tensor``) as the functions that people call."""

from __future__ import annotations

import operator
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, fx
from torch._ops import OpOverload

#: The last index, as torch.export writes it.
_END = 2**63 - 1

#: Where functions are found by their names, in this order; their signatures are the dispatcher's.
_HOMES: tuple[Any, ...] = (torch, torch._C._nn)

#: Names that only the dispatcher has, with the method of tensors that does the same.
_METHODS = {
    "view": "reshape",
    "_unsafe_view": "reshape",
    "_to_copy": "to",
    "alias": "clone",
    "lift_fresh_copy": "clone",
    "sym_size": "size",
}

#: What only says what is known: it is not computed with.
_CHECKS = ("_assert", "sym_constrain", "_guards", "assert_async", "_functional_assert")

#: Arguments that only choose how tensors lie in memory.
_STORAGE = frozenset(["layout", "pin_memory", "memory_format", "implicit"])

Arguments = tuple[Any, ...]
Named = Mapping[str, Any]
#: Adds to a graph what does the same as an operator with these arguments.
Translate = Callable[[fx.Graph, Arguments, Named], fx.Node]


def is_check(node: fx.Node) -> bool:
    """Whether a node of a program checks something that holds, and computes nothing."""
    name = getattr(node.target, "__name__", str(node.target))
    return name.removeprefix("aten::").startswith(_CHECKS)


def as_in_torch(graph: fx.Graph, node: fx.Node, new: Mapping[fx.Node, fx.Node]) -> fx.Node:
    """Add to a graph what a node of a program calls; ``new`` has the nodes that it reads.

    A method of tensors, a function of torch, or the operator itself where neither is known.
    """
    args: Any = fx.node.map_arg(node.args, new.__getitem__)
    kwargs: Any = fx.node.map_arg(node.kwargs, new.__getitem__)
    target = node.target
    if not isinstance(target, OpOverload) or target.namespace != "aten":
        assert callable(target)
        return graph.call_function(target, args, kwargs)

    name = target.overloadpacket.__name__
    named = {key: value for key, value in kwargs.items() if key not in _STORAGE}
    translate = _SPECIAL.get(name)
    if translate is not None:
        return translate(graph, args, named)

    method = _METHODS.get(name)
    if method is not None:
        return graph.call_method(method, args, named)
    for home in _HOMES:
        function = getattr(home, name, None)
        if function is not None:
            return graph.call_function(function, args, named)
    if hasattr(Tensor, name):
        return graph.call_method(name, args, named)
    return graph.call_function(target, args, kwargs)


def _slice(graph: fx.Graph, args: Arguments, kwargs: Named) -> fx.Node:
    tensor, dim, start, stop, step = _filled(args, kwargs, ("dim", "start", "end", "step"))
    stop = None if stop == _END else stop
    step = None if step == 1 else step
    if not start and stop is None and step is None:
        return tensor
    return _indexed(graph, tensor, dim or 0, slice(start, stop, step))


def _indexed(graph: fx.Graph, tensor: Any, dim: int, index: Any) -> fx.Node:
    """``tensor[..., index]`` with the index at an axis."""
    if dim < 0:
        trailing = [slice(None)] * (-1 - dim)
        where: tuple[Any, ...] = (Ellipsis, index, *trailing)
    else:
        where = (*[slice(None)] * dim, index)
    return graph.call_function(operator.getitem, (tensor, where))


def _index(graph: fx.Graph, args: Arguments, _: Named) -> fx.Node:
    tensor, indices = args
    where = tuple(slice(None) if index is None else index for index in indices)
    return graph.call_function(operator.getitem, (tensor, where))


def _copy(graph: fx.Graph, args: Arguments, _: Named) -> fx.Node:
    """A tensor with the values of another, in the first one's shape."""
    target, source = args[:2]
    return graph.call_method("expand_as", (source, target))


def _to(graph: fx.Graph, args: Arguments, kwargs: Named) -> fx.Node:
    tensor, *others = args
    return graph.call_method("to", (tensor, *others[:1]), dict(kwargs))


def _filled(args: Sequence[Any], kwargs: Named, names: Sequence[str]) -> list[Any]:
    """The first argument, and then those of these names, however they are given."""
    first, *given = args
    rest = [kwargs.get(name) for name in names[len(given) :]]
    return [first, *given, *rest]


def _slice_scatter(graph: fx.Graph, args: Arguments, kwargs: Named) -> fx.Node:
    """What exporters know: what lies before, what is written, and what lies behind."""
    tensor, written, *others = args
    dim, start, end, step = _filled((None, *others), kwargs, ("dim", "start", "end", "step"))[1:]
    if step not in (None, 1):
        return graph.call_function(torch.slice_scatter, args, dict(kwargs))
    return _written(graph, tensor, written, dim or 0, (start, end))


def _select_scatter(graph: fx.Graph, args: Arguments, _: Named) -> fx.Node:
    tensor, written, dim, index = args
    row = graph.call_method("unsqueeze", (written, dim))
    end = None if index == -1 else index + 1
    return _written(graph, tensor, row, dim, (index, end))


def _written(
    graph: fx.Graph, tensor: Any, written: Any, dim: int, place: tuple[Any, Any]
) -> fx.Node:
    start, end = place
    parts = [written]
    if start not in (None, 0):
        parts.insert(0, _indexed(graph, tensor, dim, slice(None, start)))
    if end not in (None, _END):
        parts.append(_indexed(graph, tensor, dim, slice(end, None)))
    return graph.call_function(torch.cat, (parts, dim)) if len(parts) > 1 else written


def _diff(graph: fx.Graph, args: Arguments, kwargs: Named) -> fx.Node:
    """What exporters know: a tensor without its first element, less that without its last."""
    tensor, count, dim, first, last = _filled(args, kwargs, ("n", "dim", "prepend", "append"))
    if count not in (None, 1):
        return graph.call_function(torch.diff, args, dict(kwargs))

    axis = -1 if dim is None else dim
    parts = [part for part in (first, tensor, last) if part is not None]
    if len(parts) > 1:
        tensor = graph.call_function(torch.cat, (parts, axis))
    after = _indexed(graph, tensor, axis, slice(1, None))
    before = _indexed(graph, tensor, axis, slice(None, -1))
    return graph.call_function(torch.sub, (after, before))


def _vector_norm(graph: fx.Graph, args: Arguments, kwargs: Named) -> fx.Node:
    return graph.call_function(torch.linalg.vector_norm, args, dict(kwargs))


_SPECIAL: dict[str, Translate] = {
    "slice": _slice,
    "index": _index,
    "copy": _copy,
    "to": _to,
    "slice_scatter": _slice_scatter,
    "select_scatter": _select_scatter,
    "diff": _diff,
    "linalg_vector_norm": _vector_norm,
}
