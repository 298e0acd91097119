"""From labels to units (channels that go together) and groups (units that are alike)."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

import numpy as np

from sartor.graph._labelling import Labelling
from sartor.graph._labels import NEUTRAL
from sartor.graph._layers import KEPT, Group, Slot
from sartor.machine import IntArray


def unit_table(labelled: Labelling) -> tuple[IntArray, int]:
    """Unit of every label, and the number of units.

    ``KEPT`` where a label is pinned, constant or read by no layer.
    """
    labels = labelled.labels

    unit_of: dict[int, int] = {}
    for root in _between_layers(labelled):
        if root != NEUTRAL and labels.reason(root) is None:
            unit_of[root] = len(unit_of)

    table = np.full(len(labels), KEPT, dtype=np.int64)
    for label in range(len(labels)):
        root = labels.find(label)
        table[label] = unit_of.get(root, KEPT)

    return table, len(unit_of)


def _between_layers(labelled: Labelling) -> list[int]:
    """Labels that one layer writes and another, or a product, reads.

    Each stands for all merged with it.
    """
    find = labelled.labels.find
    produced: set[int] = set()
    consumed: set[int] = set()

    for summed in labelled.consumed:
        consumed.update(map(find, summed.tolist()))

    for calls in labelled.calls.by_module.values():
        for _, incoming, outgoing in calls:
            # A norm, which only hands channels on.
            if outgoing is incoming:
                continue

            written = map(find, outgoing.tolist())
            produced.update(written)
            read = map(find, incoming.tolist())
            consumed.update(read)

    return sorted(produced & consumed)


def find_groups(slots: Sequence[Slot], units: int) -> tuple[Group, ...]:
    """Units with the same footprint, in order of the first layer that makes them."""
    footprints = _footprints(slots, units)
    groups: list[Group] = []
    taken: Counter[str] = Counter()

    for alike in _alike(footprints):
        first = alike[0]
        footprint = footprints[:, first]
        producers, consumers = _layers_of(footprint, slots)

        name = producers[0]
        taken[name] += 1
        if taken[name] > 1:
            name = f"{name}#{taken[name]}"

        group = Group(name, alike, producers, consumers)
        groups.append(group)

    order = [slot.name for slot in slots]
    groups.sort(key=lambda group: order.index(group.producers[0]))
    return tuple(groups)


def _alike(footprints: IntArray) -> list[IntArray]:
    """Units of equal columns, in order of the first of each."""
    members: dict[bytes, list[int]] = {}

    for unit, footprint in enumerate(footprints.T):
        # Bytes can be keys, arrays cannot.
        key = footprint.tobytes()
        units = members.setdefault(key, [])
        units.append(unit)

    return [np.array(units, dtype=np.int64) for units in members.values()]


def _footprints(slots: Sequence[Slot], units: int) -> IntArray:
    """(2 × slots, units): how many inputs, and how many outputs, of each slot belong to a unit."""
    rows = []

    for slot in slots:
        for channels in (slot.in_units, slot.out_units):
            removable = channels[channels != KEPT]
            row = np.bincount(removable, minlength=units)
            rows.append(row)

    # The shape is given, for without slots there is no row to take the width from.
    table = np.array(rows, dtype=np.int64)
    return table.reshape(len(rows), units)


def _layers_of(
    footprint: IntArray, slots: Sequence[Slot]
) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Names of the layers that write, and that read, the channels of a unit."""
    producers: list[str] = []
    consumers: list[str] = []

    for index, slot in enumerate(slots):
        if slot.kind not in ("layer", "embedding"):
            continue

        read, written = footprint[2 * index : 2 * index + 2]
        if written:
            producers.append(slot.name)
        if read:
            consumers.append(slot.name)

    return tuple(producers), tuple(consumers)
