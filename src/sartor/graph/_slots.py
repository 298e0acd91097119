"""The modules that have channels, and the products, with the units that these belong to."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import Literal

import numpy as np
from torch import nn

from sartor.graph._axes import Tracked
from sartor.graph._layers import NO_HEADS, Layer, Product, Slot
from sartor.graph._operators import per_channel_tensors
from sartor.machine import IntArray


def slots_of(tracked: Sequence[Tracked]) -> tuple[Slot, ...]:
    """Layers, norms and embeddings, in the order in which they run."""
    widths, *_ = tracked
    slots = []
    for name, calls in widths.labelled.calls.by_module.items():
        module = widths.labelled.modules[name]
        # All calls of a module have the channels of the first.
        _, incoming, outgoing = calls[0]

        slot = Slot(
            name=name,
            kind=_kind(module),
            in_units=widths.unit_of(incoming),
            out_units=widths.unit_of(outgoing),
            per_channel=per_channel_tensors(module, channels=len(outgoing)),
        )
        slots.append(_with_heads(slot, tracked))
    return tuple(slots)


def _with_heads(slot: Slot, tracked: Sequence[Tracked]) -> Slot:
    for whole in tracked[1:]:
        calls = whole.labelled.calls.by_module.get(slot.name)
        # A norm within heads has nothing of one head.
        if calls is None:
            continue
        _, incoming, outgoing = calls[0]
        slot = dataclasses.replace(
            slot, in_heads=whole.unit_of(incoming), out_heads=whole.unit_of(outgoing)
        )
    return slot


def _kind(module: nn.Module) -> Literal["layer", "norm", "embedding"]:
    if isinstance(module, Layer):
        return "layer"
    return "embedding" if isinstance(module, nn.Embedding) else "norm"


def products_of(tracked: Sequence[Tracked]) -> tuple[Product, ...]:
    """What is counted beside the layers."""
    widths, *others = tracked
    products = []
    for call in widths.labelled.products:
        units = widths.unit_of(call.channels)
        heads = NO_HEADS[None]
        for whole in others:
            if call.node in whole.labelled.heads:
                heads = whole.unit_of(whole.labelled.heads[call.node])

        # Every channel of every head.
        product = Product(
            call.node.name,
            units=np.repeat(units, len(heads)),
            heads=np.tile(heads, len(units)),
            macs=call.macs / len(heads),
        )
        products.append(product)
    return tuple(products)


def channels_of(
    slots: Sequence[Slot], products: Sequence[Product]
) -> list[tuple[IntArray, IntArray]]:
    """Unit and head of each channel of everything that has some."""
    found = [(product.units, product.heads) for product in products]
    for slot in slots:
        found += [(slot.in_units, slot.in_heads), (slot.out_units, slot.out_heads)]
    return found
