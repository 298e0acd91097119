"""What is the same whatever a network is given is computed once, when it is traced."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, fx, nn

from sartor.graph._operators import OPERATORS, Effect, operator_name

#: What makes tensors of numbers alone.
_FACTORIES = frozenset([torch.arange, torch.full, torch.linspace, torch.ones, torch.zeros])

#: Words in the names of what gives other numbers each time.
_RANDOM = ("rand", "dropout", "bernoulli", "normal", "multinomial", "empty")


def fold_constants(model: nn.Module, graph: fx.Graph, value_of: Callable[[fx.Node], Any]) -> None:
    """Put buffers in the place of what does not depend on inputs, parameters and statistics.

    Such as the mask of windows that were shifted. The buffers are no part of what is saved.
    """
    constants: set[fx.Node] = set()
    for node in graph.nodes:
        if _is_constant(model, node, constants):
            constants.add(node)

    for node in list(graph.nodes):
        is_read = any(reader not in constants for reader in node.users)
        if node not in constants or node.op == "get_attr" or not is_read:
            continue

        value = value_of(node)
        if not isinstance(value, Tensor):
            continue
        name = _free_name(model)
        model.register_buffer(name, value.clone(), persistent=False)
        with graph.inserting_before(node):
            new = graph.get_attr(name)
        node.replace_all_uses_with(new)

    for node in reversed(list(graph.nodes)):
        if node in constants and not node.users:
            graph.erase_node(node)


def _is_constant(model: nn.Module, node: fx.Node, constants: set[fx.Node]) -> bool:
    if node.op == "get_attr":
        return _is_fixed(model, str(node.target))
    if node.op not in ("call_function", "call_method"):
        return False

    sources = node.all_input_nodes
    if not sources:
        return node.target in _FACTORIES
    if OPERATORS.effect(operator_name(node)) is Effect.MAKE:
        # Of its first argument it takes only the type.
        return len(sources) == 1
    name = operator_name(node)
    return constants.issuperset(sources) and not any(word in name for word in _RANDOM)


def _is_fixed(model: nn.Module, name: str) -> bool:
    """Whether an attribute is a tensor that is neither learned nor loaded."""
    owner_name, _, leaf = name.rpartition(".")
    owner = model.get_submodule(owner_name)
    value = getattr(owner, leaf, None)
    if not isinstance(value, Tensor) or isinstance(value, nn.Parameter):
        return False
    return leaf in owner._non_persistent_buffers_set or not value.is_floating_point()


def _free_name(model: nn.Module) -> str:
    number = 0
    while hasattr(model, f"constant_{number}"):
        number += 1
    return f"constant_{number}"
