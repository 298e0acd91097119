"""In-place operators as ordinary ones, so that no tensor changes after it was seen."""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, fx, nn


def without_in_place(model: nn.Module, graph: fx.Graph) -> None:
    """Rewrite a traced graph, and switch off ``inplace`` in its modules; outputs stay the same.

    Nodes that read the changed tensor after the operator read the operator's result instead.
    """
    order = {node: index for index, node in enumerate(graph.nodes)}

    for node in graph.nodes:
        sources = node.all_input_nodes
        if not sources or not _make_ordinary(model, node):
            continue

        changed = sources[0]
        readers = list(changed.users)
        for reader in readers:
            if order[reader] > order[node]:
                reader.replace_input_with(changed, node)

    for module in model.modules():
        if getattr(module, "inplace", False):
            vars(module)["inplace"] = False


def _make_ordinary(model: nn.Module, node: fx.Node) -> bool:
    """Make an in-place operator an ordinary one; False if it was."""
    if node.op == "call_module":
        module = model.get_submodule(str(node.target))
        return bool(getattr(module, "inplace", False))
    if node.op == "call_method":
        return _make_ordinary_method(node)
    if node.op == "call_function":
        return _make_ordinary_function(node)
    return False


def _make_ordinary_method(node: fx.Node) -> bool:
    name = str(node.target)
    ordinary = name.removesuffix("_")
    is_in_place = _ends_in_place(name)
    if not is_in_place or not hasattr(Tensor, ordinary):
        return False

    node.target = ordinary
    return True


def _make_ordinary_function(node: fx.Node) -> bool:
    if node.kwargs.get("inplace"):
        node.kwargs = {**node.kwargs, "inplace": False}
        return True

    name = getattr(node.target, "__name__", "")
    if not _ends_in_place(name):
        return False

    bare = name.removesuffix("_")
    ordinary: Any = getattr(torch, bare, None)
    if ordinary is None:
        ordinary = getattr(F, bare, None)
    if ordinary is None:
        return False

    node.target = ordinary
    return True


def _ends_in_place(name: str) -> bool:
    # Two underscores end the names of Python's own methods.
    return name.endswith("_") and not name.endswith("__")
