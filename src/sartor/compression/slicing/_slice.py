"""Removing channels: the narrower network, and its full-width twin with the same function."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor, fx, nn

from sartor.compression.modules import bias_of, shallow_copy, weight_of, with_tensors
from sartor.errors import PolicyError
from sartor.graph import ChannelSelect, Network, Slot
from sartor.machine import BoolArray, IntArray


def kept_channels(units: IntArray, kept: BoolArray) -> IntArray:
    """Indices of the channels that stay, given the unit of each channel and which units stay."""
    return np.flatnonzero(np.append(kept, True)[units])  # the unit KEPT is −1: the last


def narrow(network: Network, kept: BoolArray) -> fx.GraphModule:
    """A new network without the channels of the units that are not kept; the original is not touched.

    ``kept`` has one flag per unit. Raises `PolicyError` if a layer would lose all its channels.
    """
    candidate = shallow_copy(network.module)
    for slot in network.slots:
        incoming, outgoing = kept_channels(slot.in_units, kept), kept_channels(slot.out_units, kept)
        if not len(incoming) or not len(outgoing):
            raise PolicyError(
                f"layer {slot.name} would lose all its channels; keep at least one unit of every group"
            )
        module = network.module.get_submodule(slot.name)
        if slot.kind == "select":
            new: nn.Module = _narrow_select(slot, incoming, outgoing)
        elif slot.kind == "norm":
            new = _narrow_norm(module, torch.from_numpy(outgoing))
        else:
            new = _narrow_layer(
                module, slot, torch.from_numpy(incoming), torch.from_numpy(outgoing)
            )
        candidate.set_submodule(slot.name, new)
    return candidate


def _narrow_layer(module: nn.Module, slot: Slot, columns: Tensor, rows: Tensor) -> nn.Module:
    tensors = {"weight": weight_of(module)[rows]}
    bias = bias_of(module)
    if bias is not None:
        tensors["bias"] = bias[rows]
    if isinstance(module, nn.Linear):
        tensors["weight"] = tensors["weight"][:, columns]
        return with_tensors(module, tensors, in_features=len(columns), out_features=len(rows))
    groups = _groups(module)
    if groups == len(slot.in_units) > 1:  # depthwise: one filter (or several) per channel
        groups = len(columns)
    else:  # every group loses the same positions
        tensors["weight"] = tensors["weight"][:, columns[: len(columns) // groups]]
    return with_tensors(
        module, tensors, in_channels=len(columns), out_channels=len(rows), groups=groups
    )


def _narrow_norm(module: nn.Module, rows: Tensor) -> nn.Module:
    tables = (*module._parameters.items(), *module._buffers.items())
    tensors = {name: tensor[rows] for name, tensor in tables if tensor is not None and tensor.dim()}
    width = "num_parameters" if isinstance(module, nn.PReLU) else "num_features"
    return with_tensors(module, tensors, **{width: len(rows)})


def _narrow_select(slot: Slot, entering: IntArray, leaving: IntArray) -> ChannelSelect:
    """Where each leaving channel stands among the entering ones (−1: it was removed and is zero)."""
    position = np.full(len(slot.in_units), -1, dtype=np.int64)
    position[entering] = np.arange(len(entering))
    return ChannelSelect(slot.select_dim, torch.from_numpy(position[leaving]))


def mask(network: Network, kept: BoolArray) -> fx.GraphModule:
    """The full-width network with the same function: weights that read removed channels are zero."""
    candidate = shallow_copy(network.module)
    for slot in network.slots:
        if slot.kind != "layer":
            continue
        module = network.module.get_submodule(slot.name)
        weight = weight_of(module).clone()
        removed = np.setdiff1d(np.arange(len(slot.in_units)), kept_channels(slot.in_units, kept))
        if _groups(module) == 1 or len(slot.in_units) > _groups(
            module
        ):  # depthwise filters mix nothing: leave them
            weight[:, removed[removed < weight.shape[1]]] = 0
        candidate.set_submodule(slot.name, with_tensors(module, {"weight": weight}))
    return candidate


def widen(network: Network, candidate: fx.GraphModule, kept: BoolArray) -> dict[str, Tensor]:
    """Weights with which the original network computes what a narrower one does: what was removed is zero.

    ``candidate`` is what `narrow` made with ``kept``, its weights trained since. Everything is named and shaped as in the
    original.
    """
    wide = {name: tensor.clone() for name, tensor in network.module.state_dict().items()}
    slots = {slot.name: slot for slot in network.slots}
    for name, tensor in candidate.state_dict().items():
        owner, _, leaf = name.rpartition(".")
        slot = slots.get(owner)
        if slot is not None and slot.kind == "select":
            continue
        if slot is None or not tensor.dim():
            wide[name] = tensor.clone()
            continue
        filled = torch.full_like(wide[name], 1.0 if leaf == "running_var" else 0.0)
        rows = torch.from_numpy(kept_channels(slot.out_units, kept))
        if tensor.dim() > 1 and tensor.shape[1] < filled.shape[1]:
            columns = torch.from_numpy(kept_channels(slot.in_units, kept))[: tensor.shape[1]]
            filled[rows[:, None], columns] = tensor
        else:
            filled[rows] = tensor
        wide[name] = filled
    return wide


def _groups(module: nn.Module) -> int:
    return module.groups if isinstance(module, (nn.Conv1d, nn.Conv2d, nn.Conv3d)) else 1
