"""Fits of layers that were computed before, for candidates that begin alike."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Mapping

import numpy as np
from torch import Tensor

from sartor.compression.refitting._calibration import Calibration
from sartor.graph import KEPT, needed
from sartor.machine import BoolArray, IntArray

#: What fits may take that are remembered, in bytes.
_ROOM = 2**26
#: Weights (out, in) and shift (out,) of a layer solved anew.
Fit = tuple[Tensor, Tensor]
#: What a fit follows from: the layer, what is kept of all that it is computed from, and whether
#: layers are refitted that lost nothing themselves.
Key = tuple[str, bytes, tuple[tuple[str, float], ...], bool]


class Fits:
    """Fits by what they follow from; the ones unused for longest make room for new ones.

    A layer's fit follows from what is kept of the layer and of all before it. Mutants of a policy
    keep most of it, so up to the first change they need not be solved again. What is remembered is
    what solving would give, bit by bit: nothing depends on what was forgotten.

    Args:
        calibration: What layers are fitted on.
        room: Bytes of fits that are remembered.
    """

    def __init__(self, calibration: Calibration, room: int = _ROOM) -> None:
        self._calibration = calibration
        self._room = room
        self._taken = 0
        self._fits: OrderedDict[Key, Fit] = OrderedDict()
        self._sources: dict[str, tuple[IntArray, list[str]]] = {}

    def key(
        self, layer: str, kept: BoolArray, densities: Mapping[str, float], *, everywhere: bool
    ) -> Key:
        """What the fit of a layer follows from; ``kept`` has one flag per unit of the network."""
        if layer not in self._sources:
            self._sources[layer] = self._sources_of(layer)
        units, modules = self._sources[layer]
        sparse = tuple((name, densities[name]) for name in modules if name in densities)
        return layer, kept[units].tobytes(), sparse, everywhere

    def get(self, key: Key) -> Fit | None:
        """A fit that is remembered."""
        if key not in self._fits:
            return None
        self._fits.move_to_end(key)
        return self._fits[key]

    def put(self, key: Key, fit: Fit) -> None:
        """Remember a fit that is not remembered, if there is room for it at all."""
        size = _bytes_of(fit)
        if size > self._room:
            return
        self._fits[key] = fit
        self._taken += size
        while self._taken > self._room:
            _, oldest = self._fits.popitem(last=False)
            self._taken -= _bytes_of(oldest)

    def _sources_of(self, layer: str) -> tuple[IntArray, list[str]]:
        """Units and modules that a layer, and the sum that it ends in, are computed from."""
        nodes = needed(self._calibration.nodes[layer])
        modules = {str(node.target) for node in nodes if node.op == "call_module"}

        units = []
        for slot in self._calibration.network.slots:
            if slot.name in modules:
                # Of a reshape they lie in the shape of what it gives.
                units += [slot.in_units.ravel(), slot.out_units.ravel()]
                units += [slot.in_heads.ravel(), slot.out_heads.ravel()]
        distinct = np.unique(np.concatenate(units))
        return distinct[distinct != KEPT], sorted(modules)


def _bytes_of(fit: Fit) -> int:
    return sum(tensor.nbytes for tensor in fit)
