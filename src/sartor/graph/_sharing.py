"""Which modules have a weight in common."""

from __future__ import annotations

from collections.abc import Mapping

from torch import nn


def owners_of_weights(modules: Mapping[str, nn.Module]) -> dict[str, list[str]]:
    """The other modules that have the weight of a module, for those whose weight is shared."""
    holders: dict[int, list[str]] = {}
    for name, module in modules.items():
        for parameter in module.parameters(recurse=False):
            owners = holders.setdefault(id(parameter), [])
            owners.append(name)

    shared: dict[str, list[str]] = {}
    for name, module in modules.items():
        weight = getattr(module, "weight", None)
        owners = holders.get(id(weight), [])
        others = [owner for owner in owners if owner != name]
        if others:
            shared[name] = others

    return shared


def same_kind(a: nn.Module, b: nn.Module) -> bool:
    """Whether two modules use a weight alike."""
    if type(a) is not type(b):
        return False
    return getattr(a, "groups", 1) == getattr(b, "groups", 1)
