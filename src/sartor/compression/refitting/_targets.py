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
_BYTES = 4
#: Outputs of a layer and, if it ends in a residual addition, the sum: (rows, out channels).
Target = tuple[Tensor, Tensor | None]


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
        # All at first: small blocks between large ones would keep the room of these from others.
        device = calibration.inputs[0].device
        self._outputs = {
            name: torch.empty(_shape(calibration, name), device=device)
            for name in calibration.places
        }
        self._sums = {
            name: torch.empty(_shape(calibration, name), device=device)
            for name in calibration.joins
        }

    @staticmethod
    def size(calibration: Calibration) -> int:
        """Bytes that they take."""
        kept = [*calibration.places, *calibration.joins]
        return _BYTES * sum(math.prod(_shape(calibration, layer)) for layer in kept)

    @classmethod
    def record(cls, calibration: Calibration) -> RecordedTargets:
        """Run the original on all parts of the images."""
        targets = cls(calibration)
        for number, inputs in enumerate(calibration.parts):
            walk(calibration.network.module, inputs, partial(targets._visit, number))
        return targets

    def of(self, layer: str, later: Collection[str]) -> Iterator[Target]:
        """That of one layer."""
        sums = self._sums.get(layer)
        for number in range(len(self.calibration.parts)):
            rows = self.calibration.rows(layer, number)
            yield self._outputs[layer][rows], None if sums is None else sums[rows]

    def _visit(self, part: int, node: fx.Node, value: Any) -> None:
        layer = self.calibration.layer_of(node)
        if layer is not None:
            rows = self.calibration.rows(layer, part)
            self._outputs[layer][rows] = self.calibration.outputs(layer, value)

        layer = self.calibration.joined_at(node)
        if layer is not None:
            rows = self.calibration.rows(layer, part)
            self._sums[layer][rows] = self.calibration.outputs(layer, value)


class ComputedTargets:
    """Those that are asked for, computed then: from any number of samples.

    Layers run twice, or a few times, where values in between do not fit into memory.
    """

    def __init__(self, calibration: Calibration) -> None:
        self.calibration = calibration
        self._values = PartedValues(calibration.network.module, calibration.parts)
        self._outputs: dict[str, fx.Node] = {}
        self._sums: dict[str, fx.Node] = {}
        for node in calibration.network.module.graph.nodes:
            layer = calibration.layer_of(node)
            if layer is not None:
                self._outputs[layer] = node
            joined = calibration.joined_at(node)
            if joined is not None:
                self._sums[joined] = node

    def of(self, layer: str, later: Collection[str]) -> Iterator[Target]:
        """That of one layer."""
        nodes = self._nodes(layer)
        wanted = [node for other in later for node in self._nodes(other)]
        for values in self._values.of(nodes, wanted):
            rows = [self.calibration.outputs(layer, value) for value in values]
            yield rows[0], rows[1] if len(rows) > 1 else None
        self._values.forget_all_but(wanted)

    def _nodes(self, layer: str) -> list[fx.Node]:
        """That of the outputs of a layer and, if there is one, that of the sum."""
        nodes = [self._outputs[layer]]
        if layer in self._sums:
            nodes.append(self._sums[layer])
        return nodes


def _shape(calibration: Calibration, layer: str) -> tuple[int, int]:
    channels = calibration.network.layer_by_name[layer].out_channels
    return calibration.samples(layer), channels
