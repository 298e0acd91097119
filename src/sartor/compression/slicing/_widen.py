"""Full-width twins of narrower networks, with the same function."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor, fx

from sartor.compression.modules import shallow_copy, weight_of, with_tensors
from sartor.compression.slicing._narrow import groups_of, kept_channels
from sartor.graph import Network, Slot
from sartor.machine import BoolArray


def mask(network: Network, kept: BoolArray) -> fx.GraphModule:
    """The network at full width that computes what `narrow` with ``kept`` does.

    Weights that read removed channels are zero.
    """
    candidate = shallow_copy(network.module)
    for slot in network.slots:
        if slot.kind != "layer":
            continue
        module = network.module.get_submodule(slot.name)
        groups = groups_of(module)
        if groups == len(slot.in_units) > 1:
            continue  # depthwise filters mix nothing
        weight = weight_of(module).clone()
        every = np.arange(len(slot.in_units))
        removed = np.setdiff1d(every, kept_channels(slot.in_units, kept))
        weight[:, removed[removed < weight.shape[1]]] = 0
        candidate.set_submodule(slot.name, with_tensors(module, {"weight": weight}))
    return candidate


def widen(network: Network, candidate: fx.GraphModule, kept: BoolArray) -> dict[str, Tensor]:
    """Weights with which the original network computes what a narrower one does.

    ``candidate`` is what `narrow` made with ``kept``, its weights trained since. Everything is
    named and shaped as in the original; what was removed is zero.
    """
    wide = {name: tensor.clone() for name, tensor in network.module.state_dict().items()}
    for name, tensor in candidate.state_dict().items():
        owner, _, leaf = name.rpartition(".")
        slot = network.slot_by_name.get(owner)
        if slot is not None and slot.kind == "select":
            continue
        if slot is None or leaf not in slot.per_channel:
            wide[name] = tensor.clone()
            continue
        removed = 1.0 if leaf == "running_var" else 0.0
        filled = torch.full_like(wide[name], removed)
        wide[name] = _fill(filled, tensor, slot, kept)
    return wide


def _fill(filled: Tensor, tensor: Tensor, slot: Slot, kept: BoolArray) -> Tensor:
    """A tensor of full width with what a narrower one has in its places."""
    rows = torch.from_numpy(kept_channels(slot.out_units, kept))
    if tensor.dim() > 1 and tensor.shape[1] < filled.shape[1]:
        incoming = kept_channels(slot.in_units, kept)
        columns = torch.from_numpy(incoming)[: tensor.shape[1]]
        filled[rows[:, None], columns] = tensor
    else:
        filled[rows] = tensor
    return filled
