"""Copies of modules that share what does not change."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from typing import cast

from torch import Tensor, fx, nn


def shallow_copy(module: fx.GraphModule) -> fx.GraphModule:
    """A copy with a module tree of its own; tensors, graph and compiled code are shared.

    Replace modules in it; never write into them.
    """
    return cast("fx.GraphModule", _copy_tree(module))


def with_own_graph(
    module: fx.GraphModule,
) -> tuple[fx.GraphModule, dict[fx.Node, fx.Node]]:
    """A copy whose graph can be changed too, and its node for each of the module's."""
    graph = fx.Graph()
    result = graph.graph_copy(module.graph, {})
    graph.output(result)

    # Nodes are copied in their order, which is what pairs them.
    copied = fx.GraphModule(shallow_copy(module), graph)
    copies = zip(module.graph.nodes, copied.graph.nodes, strict=True)
    return copied, dict(copies)


def trainable_copy(module: fx.GraphModule) -> fx.GraphModule:
    """A copy that shares nothing and can be trained: parameters require gradients again."""
    return copy.deepcopy(module).requires_grad_(True).eval()


def with_tensors(module: nn.Module, tensors: Mapping[str, Tensor], **attributes: int) -> nn.Module:
    """A copy of one module with some parameters, buffers and plain attributes replaced.

    >>> import torch
    >>> with_tensors(nn.Linear(2, 1), {"weight": torch.ones(1, 3)}, in_features=3)
    Linear(in_features=3, out_features=1, bias=True)
    """
    new = copy.copy(module)
    # Until it has tables of its own, the copy shares the module's.
    new._parameters = dict(module._parameters)
    new._buffers = dict(module._buffers)

    for name, tensor in tensors.items():
        if name in new._buffers:
            new._buffers[name] = tensor
        else:
            parameter = nn.Parameter(tensor, requires_grad=False)
            new._parameters[name] = parameter

    new.__dict__.update(attributes)
    return new


def weight_of(module: nn.Module) -> Tensor:
    """The weight of a layer."""
    return module.get_parameter("weight")


def bias_of(module: nn.Module) -> Tensor | None:
    """The bias of a layer, if it has one."""
    return module._parameters.get("bias")


def own_tensors(module: nn.Module) -> dict[str, Tensor]:
    """Parameters and buffers of a module itself, without those of its children."""
    tables = (*module._parameters.items(), *module._buffers.items())
    return {name: tensor for name, tensor in tables if tensor is not None}


def _copy_tree(module: nn.Module) -> nn.Module:
    # Not copy.copy, with which a GraphModule compiles its code anew.
    new: nn.Module = object.__new__(type(module))
    new.__dict__.update(module.__dict__)

    children: dict[str, nn.Module | None] = {}
    for name, child in module._modules.items():
        children[name] = None if child is None else _copy_tree(child)
    new._modules = children
    return new
