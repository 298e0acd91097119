"""From labels to units (channels that must be removed together) and groups (units that are alike)."""

from __future__ import annotations

import numpy as np

from sartor.graph._labels import NEUTRAL
from sartor.graph._layers import KEPT, Group, Slot
from sartor.graph._propagation import LabelPropagation
from sartor.machine import IntArray


def unit_table(labelled: LabelPropagation) -> tuple[IntArray, int]:
    """Unit of every label (``KEPT`` where pinned, constant or read by no layer), and the number of units."""
    labels = labelled.labels
    produced, consumed = set[int](), set[int]()
    for calls in labelled.calls.values():
        for _, incoming, outgoing in calls:
            if outgoing is not incoming:
                produced.update(labels.find(label) for label in outgoing.tolist())
                consumed.update(labels.find(label) for label in incoming.tolist())
    removable = sorted(
        root for root in produced & consumed if root != NEUTRAL and labels.reason(root) is None
    )
    number = {root: unit for unit, root in enumerate(removable)}
    count = len(labels)
    return np.array(
        [number.get(labels.find(label), KEPT) for label in range(count)], dtype=np.int64
    ), len(number)


def find_groups(slots: tuple[Slot, ...], units: int) -> tuple[Group, ...]:
    """Units with the same footprint (as many channels of the same slots), in order of the first layer that makes them."""
    footprint = np.zeros((2 * len(slots), units), dtype=np.int64)
    for row, slot in enumerate(slots):
        for side, channels in enumerate((slot.in_units, slot.out_units)):
            footprint[2 * row + side] = np.bincount(channels[channels != KEPT], minlength=units)
    members: dict[bytes, list[int]] = {}
    for unit in range(units):
        members.setdefault(footprint[:, unit].tobytes(), []).append(unit)
    groups: list[Group] = []
    taken: dict[str, int] = {}
    for group_units in members.values():
        column = footprint[:, group_units[0]]
        layers = [(row, slot.name) for row, slot in enumerate(slots) if slot.kind == "layer"]
        producers = tuple(name for row, name in layers if column[2 * row + 1])
        consumers = tuple(name for row, name in layers if column[2 * row])
        taken[producers[0]] = taken.get(producers[0], 0) + 1
        name = producers[0] if taken[producers[0]] == 1 else f"{producers[0]}#{taken[producers[0]]}"
        groups.append(Group(name, np.array(group_units, dtype=np.int64), producers, consumers))
    order = {slot.name: row for row, slot in enumerate(slots)}
    return tuple(sorted(groups, key=lambda group: order[group.producers[0]]))
