"""Values of nodes, however they are nested."""

from __future__ import annotations

from typing import Any

from torch import Tensor, fx

from sartor.graph._outputs import parts_of


def tensors_within(value: Any) -> list[Tensor]:
    """All tensors of a value or twin."""
    if isinstance(value, Tensor):
        return [value]

    found: list[Tensor] = []
    for item in parts_of(value):
        found += tensors_within(item)
    return found


def carries_channels(value: Any) -> bool:
    """Whether a value holds tensors of other than whole numbers or flags."""
    for tensor in tensors_within(value):
        if tensor.is_floating_point() or tensor.is_complex():
            return True
    return False


def moved_by(node: fx.Node) -> set[fx.Node]:
    """What an operator that moves elements moves: all that its first argument holds.

    The others say where to.
    """
    moved: set[fx.Node] = set()
    if str(getattr(node.target, "__name__", node.target)).endswith("_scatter"):
        # The second is written into the first.
        fx.node.map_arg(node.args[:2], moved.add)
    elif node.args:
        fx.node.map_arg(node.args[0], moved.add)
    else:
        named = iter(node.kwargs.values())
        first = next(named, None)
        fx.node.map_arg(first, moved.add)
    return moved
