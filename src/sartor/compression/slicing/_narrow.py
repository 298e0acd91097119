"""Removing channels: the narrower network."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor, fx, nn

from sartor.compression.modules import (
    bias_of,
    device_of,
    own_tensors,
    shallow_copy,
    tie_equal,
    weight_of,
    with_tensors,
)
from sartor.errors import PolicyError
from sartor.graph import OVER_LAST_AXIS, ChannelSelect, Network, Resize, Slot
from sartor.machine import BoolArray, IntArray


def narrow(network: Network, kept: BoolArray) -> fx.GraphModule:
    """A new network without the channels of the units that are not kept.

    ``kept`` has one flag per unit. The original is not touched; what does not change is shared
    with it. Raises `PolicyError` if a layer would lose all its channels.

    >>> from sartor import trace
    >>> model = nn.Sequential(nn.Conv2d(3, 8, 3), nn.ReLU(), nn.Conv2d(8, 4, 3))
    >>> network = trace(model, torch.zeros(1, 3, 9, 9))
    >>> narrow(network, np.arange(network.units) < 5).get_submodule("0")
    Conv2d(3, 5, kernel_size=(3, 3), stride=(1, 1))
    """
    device = device_of(network.module)
    candidate = shallow_copy(network.module)
    for slot in network.slots:
        module = network.module.get_submodule(slot.name)
        new = narrow_module(module, slot, kept)
        if slot.kind == "select":
            new.to(device)
        candidate.set_submodule(slot.name, new)

    # Slicing copied each weight of modules that share it.
    tie_equal(candidate, network.shared)
    return candidate


def narrow_module(module: nn.Module, slot: Slot, kept: BoolArray) -> nn.Module:
    """What stands in the place of one module."""
    if slot.kind == "resize":
        return _narrow_resize(module, slot, kept)

    incoming = slot.incoming(kept)
    outgoing = slot.outgoing(kept)
    # Of a tensor that is cut in two, one half may lose all its channels.
    if slot.kind == "select":
        return _narrow_select(slot, incoming, outgoing)

    reads_nothing = len(slot.in_units) > 0 and not len(incoming)
    if reads_nothing or not len(outgoing):
        raise PolicyError(
            f"layer {slot.name} would lose all its channels; keep at least one unit of every group"
        )

    rows = torch.from_numpy(outgoing)
    if slot.kind == "norm":
        return _narrow_norm(module, slot, rows)
    if slot.kind == "embedding":
        weight = weight_of(module)[:, rows]
        return with_tensors(module, {"weight": weight}, embedding_dim=len(rows))
    return _narrow_layer(module, slot, torch.from_numpy(incoming), rows)


def _narrow_layer(module: nn.Module, slot: Slot, columns: Tensor, rows: Tensor) -> nn.Module:
    tensors = {}
    bias = bias_of(module)
    if bias is not None:
        tensors["bias"] = bias[rows]

    weight = weight_of(module)[rows]
    if isinstance(module, nn.Linear):
        tensors["weight"] = weight[:, columns]
        return with_tensors(
            module,
            tensors,
            in_features=len(columns),
            out_features=len(rows),
        )

    groups = groups_of(module)
    if groups == len(slot.in_units) > 1:
        # Depthwise: each channel has filters of its own, which read nothing else.
        groups = len(columns)
        tensors["weight"] = weight
    else:
        # Every group loses the same positions, so those of the first do for all.
        width = len(columns) // groups
        tensors["weight"] = weight[:, columns[:width]]

    return with_tensors(
        module,
        tensors,
        in_channels=len(columns),
        out_channels=len(rows),
        groups=groups,
    )


def _narrow_norm(module: nn.Module, slot: Slot, rows: Tensor) -> nn.Module:
    """What counters and observers leave on a module has no channels, and stays as it is."""
    own = own_tensors(module)
    tensors = {name: own[name][rows] for name in slot.per_channel}
    new = with_tensors(module, tensors)
    vars(new)[_width_of(module)] = _width(module, len(rows))
    return new


def _width_of(norm: nn.Module) -> str:
    """What a norm calls the number of its channels."""
    if isinstance(norm, nn.PReLU):
        return "num_parameters"
    if isinstance(norm, nn.GroupNorm):
        return "num_channels"
    return "normalized_shape" if isinstance(norm, OVER_LAST_AXIS) else "num_features"


def _width(norm: nn.Module, channels: int) -> int | tuple[int, ...]:
    return (channels,) if isinstance(norm, OVER_LAST_AXIS) else channels


def _narrow_resize(module: nn.Module, slot: Slot, kept: BoolArray) -> Resize:
    """A place along an axis goes if all that lies there does."""
    assert isinstance(module, Resize)
    stays = slot.stays(kept)

    counts: list[tuple[int, int] | None] = []
    for axis, size in enumerate(stays.shape):
        others = tuple(other for other in range(stays.ndim) if other != axis)
        count = int(stays.any(others).sum())
        counts.append(None if count == size else (count, size))
    return module.to_counts(counts)


def _narrow_select(slot: Slot, entering: IntArray, leaving: IntArray) -> ChannelSelect:
    """Where each leaving channel stands among the entering ones (−1: it was removed, so zero).

    One side may be empty: of a tensor that is cut in two, a group may keep channels of one half.
    """
    position = np.full(len(slot.in_units), -1, dtype=np.int64)
    position[entering] = np.arange(len(entering))
    return ChannelSelect(slot.select_dim, torch.from_numpy(position[leaving]))


def mixes_channels(norm: nn.Module) -> bool:
    """Whether a norm takes its statistics over channels, so that all change if one goes."""
    return isinstance(norm, (nn.GroupNorm, *OVER_LAST_AXIS))


def groups_of(module: nn.Module) -> int:
    """Groups of a convolution; 1 for everything else."""
    if isinstance(module, (nn.Conv1d, nn.Conv2d, nn.Conv3d)):
        return module.groups
    return 1
