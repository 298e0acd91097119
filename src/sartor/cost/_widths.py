"""Channels that modules are left with, from the units that groups keep."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from sartor.graph import KEPT, Network
from sartor.machine import FloatArray, IntArray

#: Unit and head of each channel of a module.
Channels = tuple[IntArray, IntArray]


class Widths:
    """Numbers of channels of some modules, for any counts of the groups of a network.

    A channel has a unit, and in attention a head: of the channels of two groups together the
    product of two shares is left.

    Args:
        network: The network that the groups are of.
        modules: The channels of each module.
    """

    def __init__(self, network: Network, modules: Sequence[Channels]) -> None:
        owner = _groups_of_units(network)
        pairs = [_pairs(owner, *channels) for channels in modules]
        every = np.concatenate([*pairs, np.empty((0, 2), dtype=np.int64)])
        #: Pairs of groups that channels belong to, (pairs, 2); of none the index after the last.
        self._groups = np.unique(every, axis=0)

        sizes = np.array([*(group.size for group in network.groups), 1], dtype=np.float64)
        units = sizes[self._groups].prod(1)
        rows = []
        for row in pairs:
            belongs = (row[:, None] == self._groups).all(2)
            rows.append(belongs.sum(0) / units)
        #: Channels of each module for each unit, or each pair of units, (modules, pairs).
        self._per_unit = np.array(rows, dtype=np.float64).reshape(len(modules), len(units))

    def __len__(self) -> int:
        """Number of modules."""
        return len(self._per_unit)

    def channels(self, counts: FloatArray | IntArray) -> FloatArray:
        """Channels of each module, (policies, modules), for counts (policies, groups)."""
        always = np.ones((len(counts), 1))
        first, second = np.hstack([counts, always]).T[self._groups.T]
        return (first * second).T @ self._per_unit.T


def _groups_of_units(network: Network) -> IntArray:
    """The index of each unit's group; for channels that are always kept, one after the last."""
    owner = np.full(network.units + 1, len(network.groups), dtype=np.int64)
    for index, group in enumerate(network.groups):
        owner[group.units] = index
    return owner


def _pairs(owner: IntArray, units: IntArray, heads: IntArray) -> IntArray:
    """The groups of each channel, (channels, 2)."""
    # The unit KEPT is −1: the last, which is of no group.
    assert KEPT == -1
    both = np.broadcast_arrays(owner[units], owner[heads])
    return np.stack(both, axis=1)
