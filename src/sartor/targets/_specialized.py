"""Networks that were traced with default arguments, without what holds these against calls."""

from __future__ import annotations

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
    graph.output(graph.graph_copy(network.graph, {}))
    plain = fx.GraphModule(network, graph)
    for node in list(plain.graph.nodes):
        if node.op == "call_function" and node.target is torch._assert:
            plain.graph.erase_node(node)
    plain.graph.eliminate_dead_code()
    for node in list(plain.graph.nodes):
        if _is_default(node) and not node.users:
            plain.graph.erase_node(node)
    plain.recompile()
    return plain


def _is_default(node: fx.Node) -> bool:
    """Whether this is an argument with a default value, which traces keep as its own argument."""
    return node.op == "placeholder" and bool(node.args)
