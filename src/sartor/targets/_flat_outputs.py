"""Networks that return a tuple of tensors, whatever they returned."""

from __future__ import annotations

import dataclasses
import itertools
from collections.abc import Iterator, Mapping
from typing import Any

from torch import fx

#: What the only output of a network is called.
ONLY = "output"


def flat_outputs(network: fx.GraphModule) -> tuple[fx.GraphModule, list[str]]:
    """A network whose outputs are one tensor or a tuple of them, and their names in order.

    Names are those of dicts and dataclasses where these are names, else ``output_0`` and so on.
    Weights are shared with the network that is given, which is returned itself where nothing is
    nested.

    >>> from torch import nn
    >>> class Heads(nn.Module):
    ...     def forward(self, x):
    ...         return {"near": x + 1, "far": [x + 2, x + 3]}
    >>> flat, names = flat_outputs(fx.symbolic_trace(Heads()))
    >>> names
    ['near', 'output_1', 'output_2']
    >>> flat(1)
    (2, 3, 4)
    """
    (output,) = (node for node in network.graph.nodes if node.op == "output")
    value = output.args[0]
    if isinstance(value, fx.Node) and not _builds_dataclass(value):
        return network, [ONLY]

    graph = fx.Graph()
    copies: dict[fx.Node, fx.Node] = {}
    graph.graph_copy(network.graph, copies)
    leaves = list(_leaves(value, ""))
    graph.output(tuple(copies[node] for node, _ in leaves))

    flat = fx.GraphModule(network, graph)
    # The calls that built dataclasses are of no use any more.
    flat.graph.eliminate_dead_code()
    flat.recompile()
    return flat, _names([name for _, name in leaves])


def _leaves(value: Any, name: str) -> Iterator[tuple[fx.Node, str]]:
    """Nodes of tensors in order, each with its name in what holds it."""
    if isinstance(value, fx.Node) and _builds_dataclass(value):
        value = _fields(value)
    if isinstance(value, fx.Node):
        yield value, name
    elif isinstance(value, Mapping):
        for key, item in value.items():
            yield from _leaves(item, str(key))
    elif isinstance(value, (tuple, list)):
        for item in value:
            yield from _leaves(item, "")


def _builds_dataclass(node: fx.Node) -> bool:
    return node.op == "call_function" and dataclasses.is_dataclass(node.target)


def _fields(node: fx.Node) -> dict[str, Any]:
    """What a node builds a dataclass of, in the order of its fields."""
    assert isinstance(node.target, type)
    fields = [item.name for item in dataclasses.fields(node.target)]
    given = {**dict(zip(fields, node.args, strict=False)), **node.kwargs}
    return {name: given[name] for name in fields if name in given}


def _names(names: list[str]) -> list[str]:
    """Each of them once; numbers where there is none, or none that is one."""
    if len(names) == 1:
        return [ONLY]

    found: list[str] = []
    for number, name in zip(itertools.count(), names, strict=False):
        usable = name.isidentifier() and name not in found and not name.startswith("input")
        found.append(name if usable else f"{ONLY}_{number}")
    return found
