"""What the original gives at the sampled places, which is what refitted layers should give."""

from __future__ import annotations

import math
from collections.abc import Collection, Iterator
from functools import partial
from typing import Any, Protocol

import torch
from torch import Tensor, fx

from sartor.compression.refitting._calibration import Calibration
from sartor.compression.refitting._values import PartedValues
from sartor.graph import walk

#: What sampled outputs may take that are kept, in bytes.
_ROOM = 3 * 2**27
#: What they are kept in: in fewer bits, devices whose sums differ a little would round apart.
_DTYPE = torch.float32
#: Outputs of a layer and, if it ends in a residual addition, the sum, each (rows, out channels).
Target = tuple[Tensor, ...]


class Targets(Protocol):
    """What layers should give, part by part of the images."""

    def of(self, layer: str, later: Collection[str]) -> Iterator[Target]:
        """That of one layer; ``later`` are layers that will be asked for, too."""


def targets_of(calibration: Calibration) -> Targets:
    """Recorded where there is room for them, else computed."""
    if RecordedTargets.size(calibration) <= _ROOM:
        return RecordedTargets.record(calibration)
    return ComputedTargets(calibration)


class RecordedTargets:
    """Those of all layers, from one run of the original: for many refits."""

    def __init__(self, calibration: Calibration) -> None:
        self.calibration = calibration
        self._layer_of: dict[fx.Node, str] = {}
        # All at first: small blocks between large ones would keep the room of these from others.
        self._rows: dict[fx.Node, Tensor] = {}
        device = calibration.inputs[0].device
        for layer, nodes in calibration.nodes.items():
            shape = _shape(calibration, layer)
            for node in nodes:
                self._layer_of[node] = layer
                self._rows[node] = torch.empty(shape, dtype=_DTYPE, device=device)

    @staticmethod
    def size(calibration: Calibration) -> int:
        """Bytes that they take."""
        numbers = 0
        for layer, nodes in calibration.nodes.items():
            numbers += len(nodes) * math.prod(_shape(calibration, layer))
        return _DTYPE.itemsize * numbers

    @classmethod
    def record(cls, calibration: Calibration) -> RecordedTargets:
        """Run the original on all parts of the images."""
        targets = cls(calibration)
        for number, inputs in enumerate(calibration.parts):
            walk(calibration.network.module, inputs, partial(targets._visit, number))
        return targets

    def of(self, layer: str, later: Collection[str]) -> Iterator[Target]:
        """That of one layer."""
        nodes = self.calibration.nodes[layer]
        for number in range(len(self.calibration.parts)):
            rows = self.calibration.rows(layer, number)
            yield tuple(self._rows[node][rows].float() for node in nodes)

    def _visit(self, part: int, node: fx.Node, value: Any) -> None:
        if node in self._rows:
            layer = self._layer_of[node]
            rows = self.calibration.rows(layer, part)
            self._rows[node][rows] = self.calibration.outputs(layer, value)


class ComputedTargets:
    """Those that are asked for, computed then: from any number of samples.

    Layers run twice, or a few times, where values in between do not fit into memory.
    """

    def __init__(self, calibration: Calibration) -> None:
        self.calibration = calibration
        self._values = PartedValues(calibration.network.module, calibration.parts)

    def of(self, layer: str, later: Collection[str]) -> Iterator[Target]:
        """That of one layer."""
        nodes = self.calibration.nodes
        wanted = [node for other in later for node in nodes[other]]
        for values in self._values.of(nodes[layer], wanted):
            yield tuple(self.calibration.outputs(layer, value) for value in values)
        self._values.forget_all_but(wanted)


def _shape(calibration: Calibration, layer: str) -> tuple[int, int]:
    channels = calibration.network.layer_by_name[layer].out_channels
    return calibration.samples(layer), channels
