"""Removing channels: the narrower network, and its full-width twin with the same function."""

from __future__ import annotations

import copy

import numpy as np
import torch
from torch import Tensor, fx, nn

from sartor.errors import PolicyError
from sartor.graph import BoolArray, ChannelSelect, IntArray, Network, Slot


def kept_channels(units: IntArray, kept: BoolArray) -> IntArray:
    """Indices of the channels that stay, given the unit of each channel and which units stay."""
    return np.flatnonzero(np.append(kept, True)[units])  # the unit KEPT is −1: the last


def narrow(network: Network, kept: BoolArray) -> fx.GraphModule:
    """A new network without the channels of the units that are not kept; weights are copied, the original is not touched.

    ``kept`` has one flag per unit. Raises `PolicyError` if a layer would lose all its channels.
    """
    candidate = share(network.module)
    for slot in network.slots:
        incoming, outgoing = kept_channels(slot.in_units, kept), kept_channels(slot.out_units, kept)
        if not len(incoming) or not len(outgoing):
            raise PolicyError(f"layer {slot.name} would lose all its channels; keep at least one unit of every group")
        module = network.module.get_submodule(slot.name)
        candidate.set_submodule(slot.name, _narrow_module(module, slot, kept, incoming, outgoing))
    return candidate


def share(module: fx.GraphModule) -> fx.GraphModule:
    """A copy with a module tree of its own; tensors, graph and compiled code are shared.

    Replace modules in it; never write into them.
    """
    return _share_tree(module)  # type: ignore[return-value]


def _share_tree(module: nn.Module) -> nn.Module:
    new = object.__new__(type(module))  # not copy.copy: GraphModule would compile its code anew
    new.__dict__.update(module.__dict__)
    new._modules = {name: child and _share_tree(child) for name, child in module._modules.items()}
    return new


def _narrow_module(module: nn.Module, slot: Slot, kept: BoolArray, incoming: IntArray, outgoing: IntArray) -> nn.Module:
    rows, columns = torch.from_numpy(outgoing), torch.from_numpy(incoming)
    if isinstance(module, ChannelSelect):
        return _narrow_select(slot, kept)
    new = copy.copy(module)
    new._parameters = dict(module._parameters)
    new._buffers = dict(module._buffers)
    if slot.kind == "norm":
        for table in (new._parameters, new._buffers):
            for name, tensor in table.items():
                if tensor is not None and tensor.dim():
                    table[name] = _own(module, name, tensor[rows])
        if hasattr(new, "num_features"):
            new.num_features = len(rows)
        if isinstance(new, nn.PReLU):
            new.num_parameters = len(rows)
        return new
    weight = getattr(module, "weight")  # noqa: B009
    groups = getattr(module, "groups", 1)
    if groups == 1:
        weight = weight[rows][:, columns]
    elif groups == len(slot.in_units):  # depthwise: one filter (or several) per channel
        weight, new.groups = weight[rows], len(columns)
    else:  # every group loses the same positions
        weight = weight[rows][:, columns[: len(columns) // groups]]
    new._parameters["weight"] = _own(module, "weight", weight)
    if module._parameters.get("bias") is not None:
        new._parameters["bias"] = _own(module, "bias", getattr(module, "bias")[rows])  # noqa: B009
    if isinstance(module, nn.Linear):
        new.in_features, new.out_features = len(columns), len(rows)
    else:
        new.in_channels, new.out_channels = len(columns), len(rows)
    return new


def _own(module: nn.Module, name: str, tensor: Tensor) -> nn.Parameter | Tensor:
    return nn.Parameter(tensor, requires_grad=False) if name in module._parameters else tensor


def _narrow_select(slot: Slot, kept: BoolArray) -> ChannelSelect:
    """Where each leaving channel stands among the entering ones (−1: it was removed and is zero)."""
    entering, leaving = kept_channels(slot.in_units, kept), kept_channels(slot.out_units, kept)
    position = np.full(len(slot.in_units), -1, dtype=np.int64)
    position[entering] = np.arange(len(entering))
    return ChannelSelect(slot.select_dim, torch.from_numpy(position[leaving]))


def mask(network: Network, kept: BoolArray) -> fx.GraphModule:
    """The full-width network with the same function: weights that read removed channels are zero."""
    candidate = share(network.module)
    for slot in network.slots:
        if slot.kind != "layer":
            continue
        module = copy.copy(network.module.get_submodule(slot.name))
        groups = getattr(module, "groups", 1)
        weight = module.weight.clone()
        removed = np.setdiff1d(np.arange(len(slot.in_units)), kept_channels(slot.in_units, kept))
        if groups == 1:
            weight[:, removed] = 0
        elif groups < len(slot.in_units):
            weight[:, removed[removed < weight.shape[1]]] = 0
        module._parameters = {**module._parameters, "weight": nn.Parameter(weight, requires_grad=False)}
        candidate.set_submodule(slot.name, module)
    return candidate
