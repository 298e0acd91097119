"""In-place operators as ordinary ones, so that no tensor changes after it was seen."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, fx, nn


def without_in_place(model: nn.Module, graph: fx.Graph) -> None:
    """Rewrite a traced graph and switch off ``inplace`` in its modules; what is computed stays the same.

    Whoever reads the changed tensor after the operator reads the operator's result instead.
    """
    order = {node: index for index, node in enumerate(graph.nodes)}
    for node in graph.nodes:
        if not _ordinary(model, node) or not node.all_input_nodes:
            continue
        changed = node.all_input_nodes[0]
        for reader in list(changed.users):
            if order[reader] > order[node]:
                reader.replace_input_with(changed, node)
    for module in model.modules():
        if getattr(module, "inplace", False):
            vars(module)["inplace"] = False


def _ordinary(model: nn.Module, node: fx.Node) -> bool:
    """Make one node ordinary; False if it was."""
    if node.op == "call_module":
        return bool(getattr(model.get_submodule(str(node.target)), "inplace", False))
    if node.op == "call_method":
        method = str(node.target)
        ordinary_method = method.removesuffix("_")
        if (
            ordinary_method == method
            or method.endswith("__")
            or not hasattr(Tensor, ordinary_method)
        ):
            return False
        node.target = ordinary_method
        return True
    if node.op != "call_function" or isinstance(node.target, str):
        return False
    if node.kwargs.get("inplace"):
        node.kwargs = {**node.kwargs, "inplace": False}
        return True
    name = getattr(node.target, "__name__", "")
    ordinary = next(
        (
            found
            for room in (torch, F)
            if (found := getattr(room, name.removesuffix("_"), None)) is not None
        ),
        None,
    )
    if not name.endswith("_") or name.endswith("__") or ordinary is None:
        return False
    node.target = ordinary
    return True
