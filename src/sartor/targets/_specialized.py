"""Networks that were traced with default arguments, without what holds these against calls."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import fx


def without_defaults(network: fx.GraphModule) -> fx.GraphModule:
    """A network without placeholders for default arguments and the assertions that they are so.

    Tracing puts their values where they are used and leaves both behind; exporters know neither.
    Weights are shared with the network that is given, which is returned itself if it has none.
    """
    if not any(map(_is_default, network.graph.nodes)):
        return network

    graph = fx.Graph()
    result = graph.graph_copy(network.graph, {})
    graph.output(result)
    plain = fx.GraphModule(network, graph)

    # assertions hold the placeholders: these can go only after them
    _erase(plain, _is_assertion)
    plain.graph.eliminate_dead_code()
    _erase(plain, _is_unused_default)
    plain.recompile()
    return plain


def _erase(network: fx.GraphModule, unwanted: Callable[[fx.Node], bool]) -> None:
    for node in list(network.graph.nodes):
        if unwanted(node):
            network.graph.erase_node(node)


def _is_assertion(node: fx.Node) -> bool:
    return node.op == "call_function" and node.target is torch._assert


def _is_unused_default(node: fx.Node) -> bool:
    return _is_default(node) and not node.users


def _is_default(node: fx.Node) -> bool:
    """Whether this is an argument with a default value, which traces keep as its own argument."""
    return node.op == "placeholder" and bool(node.args)
