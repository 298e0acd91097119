"""Parameters that modules share."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor, fx

from sartor.compression.modules._copies import with_tensors


def tie_equal(candidate: fx.GraphModule, shared: Mapping[str, str]) -> None:
    """Let modules of a candidate share what is equal in them.

    ``shared`` names modules with the earlier one whose parameters they have in the original
    (`Network.shared`).
    """
    for name, owner in shared.items():
        module = candidate.get_submodule(name)
        earlier = candidate.get_submodule(owner)

        for key, mine in module._parameters.items():
            theirs = earlier._parameters.get(key)
            if mine is None or theirs is None:
                continue

            # They differ where a policy treats the two unlike.
            if _are_equal(mine, theirs):
                module._parameters[key] = theirs


def untie_different(
    candidate: fx.GraphModule, shared: Mapping[str, str], tensors: Mapping[str, Tensor]
) -> None:
    """Give modules of a candidate tensors of their own where stored ``tensors`` differ."""
    for name, owner in shared.items():
        module = candidate.get_submodule(name)
        own = {}
        for key, parameter in module._parameters.items():
            if parameter is None:
                continue

            if _differ(tensors, f"{name}.{key}", f"{owner}.{key}"):
                own[key] = parameter.clone()

        if own:
            candidate.set_submodule(name, with_tensors(module, own))


def _are_equal(mine: Tensor, theirs: Tensor) -> bool:
    return mine.shape == theirs.shape and torch.equal(mine, theirs)


def _differ(tensors: Mapping[str, Tensor], mine: str, theirs: str) -> bool:
    if mine not in tensors or theirs not in tensors:
        return False
    return not _are_equal(tensors[mine], tensors[theirs])
