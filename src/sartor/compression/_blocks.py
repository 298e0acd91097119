"""Where blocks of a network end, and which of their channels a candidate keeps."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from sartor.compression.refitting import find_joins, norms_of_outputs
from sartor.graph import Network
from sartor.machine import BoolArray

#: Of a network without residual additions so many layers are taken for ends of blocks.
_LAYERS = 8


def block_outputs(network: Network, kept: BoolArray) -> dict[str, Tensor]:
    """Nodes where blocks end, with the original's channels that are kept there, (channels,).

    Those are the sums of residual blocks; in a network without, the batch norms of some of its
    layers, evenly spread. ``kept`` has one flag per unit.
    """
    example = tuple(item[:1] for item in network.example_inputs)
    ends = {layer: join.add for layer, join in find_joins(network, example).items()}
    if not ends:
        ends = _evenly_spread(_norm_nodes(network))

    found = {}
    for layer, node in ends.items():
        slot = network.slot_by_name[layer]
        found[node] = torch.from_numpy(slot.outgoing(kept))
    return found


def _norm_nodes(network: Network) -> dict[str, str]:
    """Of each layer with a batch norm of its own, the node that calls that."""
    calls = {
        str(node.target): node.name
        for node in network.module.graph.nodes
        if node.op == "call_module"
    }
    norms = norms_of_outputs(network)
    return {layer: calls[norm] for layer, norm in norms.items() if norm in calls}


def _evenly_spread(ends: dict[str, str]) -> dict[str, str]:
    layers = list(ends)
    if len(layers) <= _LAYERS:
        return ends
    places = np.linspace(0, len(layers) - 1, _LAYERS).round().astype(int)
    return {layers[place]: ends[layers[place]] for place in places}
