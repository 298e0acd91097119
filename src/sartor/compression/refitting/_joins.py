"""Layers that end in a residual addition."""

from __future__ import annotations

from dataclasses import dataclass

from torch import fx

from sartor.compression.modules import keeps_statistics
from sartor.compression.refitting._windows import CONVOLUTIONS
from sartor.graph import Network, operator_name


@dataclass(frozen=True)
class Join:
    """``add = norm(layer) + other``: a layer that is added to another branch.

    Attributes:
        norm: Name of the batch norm between layer and addition, if there is one.
        add: Name of the node that adds.
        other: Name of the node that is added.
    """

    norm: str | None
    add: str
    other: str


def find_joins(network: Network) -> dict[str, Join]:
    """Convolutions that are added to another branch, by name."""
    joins: dict[str, Join] = {}
    for node in network.module.graph.nodes:
        if not _adds_two_nodes(node):
            continue
        first, second = node.args
        found = _join(network, node, first, second) or _join(network, node, second, first)
        if found is not None:
            layer, join = found
            joins[layer] = join
    return joins


def _adds_two_nodes(node: fx.Node) -> bool:
    if node.op not in ("call_function", "call_method") or operator_name(node) != "add":
        return False
    return len(node.args) == 2 and all(isinstance(arg, fx.Node) for arg in node.args)


def _join(
    network: Network, add: fx.Node, branch: fx.Node, other: fx.Node
) -> tuple[str, Join] | None:
    """The layer at the end of ``branch``, if nothing else reads it."""
    module = network.module
    has_norm = branch.op == "call_module" and keeps_statistics(
        module.get_submodule(str(branch.target))
    )
    layer = branch.all_input_nodes[0] if has_norm else branch
    if len(branch.users) != 1 or len(layer.users) != 1 or layer.op != "call_module":
        return None
    if not isinstance(module.get_submodule(str(layer.target)), CONVOLUTIONS):
        return None
    norm = str(branch.target) if has_norm else None
    return str(layer.target), Join(norm, add.name, other.name)
