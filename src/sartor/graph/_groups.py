"""From labels to units (channels that go together) and groups (units that are alike)."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from sartor.graph._labels import NEUTRAL
from sartor.graph._layers import KEPT, Group, Slot
from sartor.graph._propagation import LabelPropagation
from sartor.machine import IntArray


def unit_table(labelled: LabelPropagation) -> tuple[IntArray, int]:
    """Unit of every label, and the number of units.

    ``KEPT`` where a label is pinned, constant or read by no layer.
    """
    labels = labelled.labels
    produced: set[int] = set()
    consumed: set[int] = set()
    for calls in labelled.calls.values():
        for _, incoming, outgoing in calls:
            if outgoing is not incoming:
                produced.update(map(labels.find, outgoing.tolist()))
                consumed.update(map(labels.find, incoming.tolist()))
    unit_of_root: dict[int, int] = {}
    for root in sorted(produced & consumed):
        if root != NEUTRAL and labels.reason(root) is None:
            unit_of_root[root] = len(unit_of_root)
    roots = map(labels.find, range(len(labels)))
    table = [unit_of_root.get(root, KEPT) for root in roots]
    return np.array(table, dtype=np.int64), len(unit_of_root)


def find_groups(slots: Sequence[Slot], units: int) -> tuple[Group, ...]:
    """Units with the same footprint, in order of the first layer that makes them."""
    footprints = _footprints(slots, units)
    members: dict[bytes, list[int]] = {}
    for unit in range(units):
        members.setdefault(footprints[:, unit].tobytes(), []).append(unit)
    groups: list[Group] = []
    taken: dict[str, int] = {}
    for alike in members.values():
        producers, consumers = _layers_of(footprints[:, alike[0]], slots)
        first = producers[0]
        taken[first] = taken.get(first, 0) + 1
        name = first if taken[first] == 1 else f"{first}#{taken[first]}"
        groups.append(Group(name, np.array(alike, dtype=np.int64), producers, consumers))
    order = {slot.name: row for row, slot in enumerate(slots)}
    return tuple(sorted(groups, key=lambda group: order[group.producers[0]]))


def _footprints(slots: Sequence[Slot], units: int) -> IntArray:
    """(2 × slots, units): how many inputs, and how many outputs, of each slot belong to a unit."""
    footprints = np.zeros((2 * len(slots), units), dtype=np.int64)
    for row, slot in enumerate(slots):
        for side, channels in enumerate((slot.in_units, slot.out_units)):
            removable = channels[channels != KEPT]
            footprints[2 * row + side] = np.bincount(removable, minlength=units)
    return footprints


def _layers_of(
    footprint: IntArray, slots: Sequence[Slot]
) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Names of the layers that write, and that read, the channels of a unit."""
    producers: list[str] = []
    consumers: list[str] = []
    for row, slot in enumerate(slots):
        if slot.kind != "layer":
            continue
        if footprint[2 * row + 1]:
            producers.append(slot.name)
        if footprint[2 * row]:
            consumers.append(slot.name)
    return tuple(producers), tuple(consumers)
