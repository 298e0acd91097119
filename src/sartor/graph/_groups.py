"""From labels to units (channels that go together) and groups (units that are alike)."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence

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
    removable = [root for root in _between_layers(labelled) if labels.reason(root) is None]
    unit_of = {root: unit for unit, root in enumerate(removable)}
    return _table(labelled, unit_of), len(unit_of)


def head_table(labelled: Labelling, first: int) -> tuple[IntArray, int]:
    """The same for whole heads, whose units are numbered from ``first``.

    A unit is a head that a product has several of.
    """
    labels = labelled.labels
    heads: set[int] = set()
    for found in labelled.heads.values():
        roots = set(labels.roots(found).tolist())
        if len(roots) > 1:
            heads |= roots

    between = heads.intersection(_between_layers(labelled))
    removable = sorted(root for root in between if labels.reason(root) is None)
    unit_of = {root: first + index for index, root in enumerate(removable)}
    return _table(labelled, unit_of), len(unit_of)


def _table(labelled: Labelling, unit_of: Mapping[int, int]) -> IntArray:
    labels = labelled.labels
    table = np.full(len(labels), KEPT, dtype=np.int64)
    for label in range(len(labels)):
        root = labels.find(label)
        table[label] = unit_of.get(root, KEPT)
    return table


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

    return sorted((produced & consumed) - {NEUTRAL})


def find_groups(slots: Sequence[Slot], units: int, heads: int) -> tuple[Group, ...]:
    """Units with the same footprint, in order of the first layer that makes them.

    The last ``heads`` units are whole heads.
    """
    footprints = _footprints(slots, units)
    of_heads = np.arange(units) >= units - heads
    groups: list[Group] = []
    taken: Counter[str] = Counter()

    for alike in _alike(np.vstack([footprints, of_heads])):
        first = alike[0]
        footprint = footprints[:, first]
        producers, consumers = _layers_of(footprint, slots)

        is_of_heads = bool(of_heads[first])
        name = f"{producers[0]}#heads" if is_of_heads else producers[0]
        taken[name] += 1
        if taken[name] > 1:
            name = f"{name}#{taken[name]}"

        group = Group(name, alike, producers, consumers, is_of_heads)
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
        for sides in ((slot.in_units, slot.in_heads), (slot.out_units, slot.out_heads)):
            channels = np.concatenate([side.ravel() for side in sides])
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


def whole_products(
    groups: Sequence[Group], channels: Sequence[tuple[IntArray, IntArray]]
) -> tuple[Group, ...]:
    """The groups without those of heads that do not have as many channels of each width.

    What is left of the channels is then the product of two counts, whichever units stay.
    ``channels`` are the unit and the head of each channel, of every module and product.
    """
    return tuple(
        group
        for group in groups
        if not group.of_heads
        or all(
            _is_product(other, group, units, heads)
            for other in groups
            if not other.of_heads
            for units, heads in channels
        )
    )


def _is_product(widths: Group, heads: Group, units: IntArray, of_heads: IntArray) -> bool:
    meet = np.isin(units, widths.units) & np.isin(of_heads, heads.units)
    if not meet.any():
        return True

    pairs = np.stack([np.broadcast_to(side, meet.shape)[meet] for side in (units, of_heads)])
    distinct, counts = np.unique(pairs, axis=1, return_counts=True)
    is_full = distinct.shape[1] == widths.size * heads.size
    return is_full and bool((counts == counts[0]).all())
