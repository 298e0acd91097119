"""What is to be known of a function that is given weights, to make a module of it."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from torch import Tensor, fx, nn


@dataclass(frozen=True)
class Call:
    """A function that is given weights.

    Attributes:
        entering: What it works on.
        tensors: Its weights, by the names that a module has for them.
        settings: All its other arguments, by name.
    """

    entering: fx.Node
    tensors: Mapping[str, fx.Node]
    settings: Mapping[str, Any]


class Kind(ABC):
    """A kind of such functions; add one to ``KINDS`` to have another rewritten.

    Attributes:
        arguments: Names of its positional arguments, in order; ``input`` is what it works on.
        tensors: Those of them that are weights.
        needs_dims: Whether it depends on the number of axes which module does the same.
        keeps_weights: Whether the module has the weights just as they are given.
    """

    arguments: tuple[str, ...]
    tensors: tuple[str, ...] = ("weight", "bias")
    needs_dims = False
    keeps_weights = True

    def read(self, node: fx.Node) -> Call | None:
        """The arguments of a node; None where it has no input or weights that are computed."""
        given: dict[str, Any] = dict(zip(self.names(node), node.args, strict=False))
        given |= node.kwargs
        entering = given.pop("input", None)
        tensors = {name: given.pop(name, None) for name in self.tensors}
        present = {name: value for name, value in tensors.items() if value is not None}

        read = [entering, *present.values()]
        computed = [value for value in given.values() if isinstance(value, fx.Node)]
        if computed or not all(isinstance(value, fx.Node) for value in read):
            return None
        return Call(entering, present, given)

    def names(self, node: fx.Node) -> tuple[str, ...]:
        """Names of the positional arguments of the very function that a node calls."""
        return self.arguments

    def fits(self, call: Call, values: Mapping[str, Tensor]) -> bool:
        """Whether a module of this kind can have these weights."""
        return "weight" in values

    @abstractmethod
    def build(self, call: Call, values: Mapping[str, Tensor], dims: int) -> nn.Module | None:
        """The module that does the same on tensors of so many axes; None if there is none."""

    def replace(self, node: fx.Node, new: fx.Node) -> None:
        """Let all that read the function read the module instead."""
        node.replace_all_uses_with(new)


def with_weights(module: nn.Module, values: Mapping[str, Tensor]) -> nn.Module:
    """A module, made without values, with these; parameters stay those of the network."""
    for name, value in values.items():
        if name in module._buffers:
            module._buffers[name] = value
            continue
        if not isinstance(value, nn.Parameter):
            value = nn.Parameter(value.clone(), requires_grad=False)
        module.register_parameter(name, value)
    return module.eval()
