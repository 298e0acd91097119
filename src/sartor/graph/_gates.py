"""Gated linear units as the operators that they consist of."""

from __future__ import annotations

import operator

import torch
from torch import fx, nn

from sartor.graph._operators import operator_name


def gates_written_out(model: nn.Module, graph: fx.Graph) -> None:
    """Rewrite ``glu(x, dim)``: one half of the channels times the sigmoid of the other."""
    for node in list(graph.nodes):
        dim = _axis_of_gate(model, node)
        if dim is None:
            continue

        source = node.args[0]
        with graph.inserting_before(node):
            halves = graph.call_method("chunk", (source, 2, dim))
            value = graph.call_function(operator.getitem, (halves, 0))
            gate = graph.call_function(operator.getitem, (halves, 1))
            opened = graph.call_function(torch.sigmoid, (gate,))
            product = graph.call_function(torch.mul, (value, opened))
        product.meta = dict(node.meta)
        node.replace_all_uses_with(product)
        graph.erase_node(node)


def _axis_of_gate(model: nn.Module, node: fx.Node) -> int | None:
    """The axis whose halves a node multiplies; None of other nodes."""
    if node.op == "call_module":
        module = model.get_submodule(str(node.target))
        return module.dim if type(module) is nn.GLU else None
    if node.op != "call_function" or operator_name(node) != "glu":
        return None
    dim = node.args[1] if len(node.args) > 1 else node.kwargs.get("dim", -1)
    return dim if isinstance(dim, int) and node.args else None
