"""Full-width twins of narrower networks, with the same function."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor, fx, nn

from sartor.compression.modules import (
    bias_of,
    device_of,
    shallow_copy,
    weight_of,
    with_tensors,
)
from sartor.compression.slicing._narrow import (
    groups_of,
    mixes_channels,
    narrow_module,
)
from sartor.errors import RunError
from sartor.graph import OVER_LAST_AXIS, Network, Slot
from sartor.machine import BoolArray, IntArray


def mask(network: Network, kept: BoolArray) -> fx.GraphModule:
    """The network at full width that computes what `narrow` with ``kept`` does.

    Weights that read removed channels, or write them, are zero. Norms whose statistics are over
    channels take them of those that are kept.
    """
    device = device_of(network.module)
    candidate = shallow_copy(network.module)
    for slot in network.slots:
        module = network.module.get_submodule(slot.name)
        if slot.kind == "layer":
            candidate.set_submodule(slot.name, _masked_layer(module, slot, kept))
        elif slot.kind == "norm" and mixes_channels(module):
            outgoing = torch.from_numpy(slot.outgoing(kept)).to(device)
            narrower = narrow_module(module, slot, kept)
            candidate.set_submodule(slot.name, _MaskedNorm(narrower, outgoing, module))
        elif slot.kind == "embedding":
            weight = weight_of(module).clone()
            weight[:, _removed(slot, kept)] = 0
            candidate.set_submodule(slot.name, with_tensors(module, {"weight": weight}))

    return candidate


def _masked_layer(module: nn.Module, slot: Slot, kept: BoolArray) -> nn.Module:
    weight = weight_of(module).clone()

    # Depthwise filters mix nothing: what removed channels give is not read later on.
    is_depthwise = groups_of(module) == len(slot.in_units) > 1
    if not is_depthwise:
        # Columns count within a group; all groups lose the same ones.
        columns = _others(slot.incoming(kept), len(slot.in_units))
        weight[:, columns[columns < weight.shape[1]]] = 0

    # Queries and keys are read by no layer, but meet each other.
    rows = _removed(slot, kept)
    weight[rows] = 0
    tensors = {"weight": weight}
    bias = bias_of(module)
    if bias is not None:
        tensors["bias"] = bias.clone()
        tensors["bias"][rows] = 0
    return with_tensors(module, tensors)


def _removed(slot: Slot, kept: BoolArray) -> IntArray:
    """Indices of the output channels that go."""
    return _others(slot.outgoing(kept), len(slot.out_units))


def _others(indices: IntArray, size: int) -> IntArray:
    """All indices below ``size`` but these."""
    return np.setdiff1d(np.arange(size), indices)


class _MaskedNorm(nn.Module):
    """A norm of the channels that are kept; the others are zero."""

    def __init__(self, norm: nn.Module, kept: Tensor, original: nn.Module) -> None:
        super().__init__()
        self.norm = norm
        self.dim = -1 if isinstance(original, OVER_LAST_AXIS) else 1
        self.register_buffer("kept", kept)

    def forward(self, x: Tensor) -> Tensor:
        """Of the shape of ``x``."""
        kept = self.get_buffer("kept")
        normalised = self.norm(x.index_select(self.dim, kept))
        zeros = torch.zeros_like(x)
        return zeros.index_copy(self.dim, kept, normalised)


def widen(network: Network, candidate: fx.GraphModule, kept: BoolArray) -> dict[str, Tensor]:
    """Weights with which the original network computes what a narrower one does.

    ``candidate`` is what `narrow` made with ``kept``, its weights trained since. Everything is
    named and shaped as in the original; what was removed is zero.

    Raises `RunError` where channels are gone that a norm of the original takes its statistics of.
    """
    _require_same_statistics(network, kept)
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


def _require_same_statistics(network: Network, kept: BoolArray) -> None:
    for slot in network.slots:
        if slot.kind != "norm":
            continue
        module = network.module.get_submodule(slot.name)
        if mixes_channels(module) and len(_removed(slot, kept)):
            raise RunError(
                f"the network cannot be widened: the norm {slot.name} takes its statistics over "
                "channels, of which some were removed; the original takes them over all"
            )


def _fill(filled: Tensor, tensor: Tensor, slot: Slot, kept: BoolArray) -> Tensor:
    """A tensor of full width with what a narrower one has in its places."""
    outgoing = slot.outgoing(kept)
    rows = torch.from_numpy(outgoing)
    is_narrower = tensor.dim() > 1 and tensor.shape[1] < filled.shape[1]
    if not is_narrower:
        filled[rows] = tensor
        return filled

    # Of grouped convolutions the first group's, which are alike in all.
    incoming = slot.incoming(kept)
    width = tensor.shape[1]
    columns = torch.from_numpy(incoming[:width])
    filled[rows[:, None], columns] = tensor
    return filled
