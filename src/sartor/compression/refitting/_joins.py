"""Layers that end in a residual addition."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from torch import Tensor, fx, nn

from sartor.compression.modules import keeps_statistics
from sartor.compression.refitting._windows import CONVOLUTIONS
from sartor.graph import Network, operator_name, walk


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


def find_joins(network: Network, example: tuple[Tensor, ...]) -> dict[str, Join]:
    """Convolutions that are added to another branch of the same size, by name.

    Sizes are those for an ``example`` of the inputs, where the network is.
    """
    shapes: dict[fx.Node, tuple[int, ...]] = {}

    def visit(node: fx.Node, value: Any) -> None:
        if isinstance(value, Tensor):
            shapes[node] = tuple(value.shape)

    walk(network.module, example, visit)

    joins: dict[str, Join] = {}
    for node in network.module.graph.nodes:
        if not _adds_two_nodes(node):
            continue

        first, second = node.args
        # A summand that is stretched in the addition has no value at each place.
        if not shapes.get(first) == shapes.get(second) == shapes[node]:
            continue

        # Where both summands end in a layer, the first is the one that mends the other.
        found = _join(network, node, first, second)
        if found is None:
            found = _join(network, node, second, first)
        if found is not None:
            layer, join = found
            joins[layer] = join

    return joins


def _adds_two_nodes(node: fx.Node) -> bool:
    if node.op not in ("call_function", "call_method"):
        return False
    if operator_name(node) != "add" or len(node.args) != 2:
        return False
    return all(isinstance(arg, fx.Node) for arg in node.args)


def _join(
    network: Network, add: fx.Node, branch: fx.Node, other: fx.Node
) -> tuple[str, Join] | None:
    """The layer at the end of ``branch``, if nothing else reads it."""
    norm = None
    layer = branch
    last = _called_module(network, branch)
    if last is not None and keeps_statistics(last):
        norm = str(branch.target)
        layer = branch.all_input_nodes[0]

    # Another reader needs what the layer gave, not what mends the sum.
    if len(branch.users) != 1 or len(layer.users) != 1:
        return None
    if not isinstance(_called_module(network, layer), CONVOLUTIONS):
        return None

    join = Join(
        norm=norm,
        add=add.name,
        other=other.name,
    )
    return str(layer.target), join


def _called_module(network: Network, node: fx.Node) -> nn.Module | None:
    """The module that a node calls, if it calls one."""
    if node.op != "call_module":
        return None
    return network.module.get_submodule(str(node.target))
