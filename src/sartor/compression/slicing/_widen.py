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

        # Depthwise filters mix nothing: what removed channels give is not read later on.
        module = network.module.get_submodule(slot.name)
        if groups_of(module) == len(slot.in_units) > 1:
            continue

        every = np.arange(len(slot.in_units))
        incoming = kept_channels(slot.in_units, kept)
        removed = np.setdiff1d(every, incoming)

        # Columns count within a group; all groups lose the same ones.
        weight = weight_of(module).clone()
        columns = removed[removed < weight.shape[1]]
        weight[:, columns] = 0
        masked = with_tensors(module, {"weight": weight})
        candidate.set_submodule(slot.name, masked)

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
        if slot is None:
            wide[name] = tensor.clone()
            continue
        # Indices of channels are those of the original, which selects from all of them.
        if slot.kind == "select":
            continue
        if leaf not in slot.per_channel:
            wide[name] = tensor.clone()
            continue

        # A variance is divided by.
        removed = 1.0 if leaf == "running_var" else 0.0
        filled = torch.full_like(wide[name], removed)
        wide[name] = _fill(filled, tensor, slot, kept)

    return wide


def _fill(filled: Tensor, tensor: Tensor, slot: Slot, kept: BoolArray) -> Tensor:
    """A tensor of full width with what a narrower one has in its places."""
    outgoing = kept_channels(slot.out_units, kept)
    rows = torch.from_numpy(outgoing)
    is_narrower = tensor.dim() > 1 and tensor.shape[1] < filled.shape[1]
    if not is_narrower:
        filled[rows] = tensor
        return filled

    # Of grouped convolutions the first group's, which are alike in all.
    incoming = kept_channels(slot.in_units, kept)
    width = tensor.shape[1]
    columns = torch.from_numpy(incoming[:width])
    filled[rows[:, None], columns] = tensor
    return filled
