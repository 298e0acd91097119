"""Calls of layers and norms, and the channels that their weights tie together."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from torch import fx, nn

from sartor.graph._labels import NEUTRAL, Labels
from sartor.graph._sharing import owners_of_weights, same_kind
from sartor.machine import IntArray

#: One call of a module: its node, and the labels that enter and leave it.
Call = tuple[fx.Node, IntArray, IntArray]


class Calls:
    """Calls of the modules that have weights per channel; each adds what it ties to ``labels``.

    Attributes:
        by_module: Calls in the order in which they ran, by the name of the module.
        shared: Modules with the weights of an earlier one, with the name of that one.
    """

    def __init__(self, modules: Mapping[str, nn.Module], labels: Labels) -> None:
        self.by_module: dict[str, list[Call]] = {}
        self.shared: dict[str, str] = {}

        self._modules = modules
        self._labels = labels
        self._owners = owners_of_weights(modules)

    def add(self, node: fx.Node, incoming: IntArray, outgoing: IntArray) -> None:
        """All calls with the same weights, of one or several modules, have one set of channels."""
        name = str(node.target)
        first = self._first_with_weights_of(name, incoming, outgoing)

        if first in self.by_module:
            _, entering, leaving = self.by_module[first][0]
            self._merge_all(entering, incoming)
            self._merge_all(leaving, outgoing)

        calls = self.by_module.setdefault(name, [])
        calls.append((node, incoming, outgoing))

    def tie_groups(self, incoming: IntArray, outgoing: IntArray, groups: int) -> None:
        """Depthwise: input and output channel are one unit.

        Grouped: every group loses the same channel positions.
        """
        if groups == len(incoming):
            multiplier = len(outgoing) // groups
            repeated = np.repeat(incoming, multiplier)
            self._merge_all(repeated, outgoing)
            return

        for labels in (incoming, outgoing):
            first, *others = labels.reshape(groups, -1)
            for row in others:
                self._merge_all(first, row)

    def _first_with_weights_of(self, name: str, incoming: IntArray, outgoing: IntArray) -> str:
        """The earliest module that was called with the weights of this one, or itself.

        Channels are kept whole where a module of another kind has them.
        """
        first = name
        module = self._modules[name]

        for owner in self._owners.get(name, ()):
            if not same_kind(self._modules[owner], module):
                reason = f"shares weights with {owner}"
                self._labels.pin(incoming, reason)
                self._labels.pin(outgoing, reason)
            elif owner in self.by_module and first == name:
                first = owner
                self.shared[name] = owner

        return first

    def _merge_all(self, a: IntArray, b: IntArray) -> None:
        for left, right in zip(a.tolist(), b.tolist(), strict=True):
            if NEUTRAL not in (left, right):
                self._labels.merge(left, right)
                continue

            # A constant channel has a weight of its own: keep it.
            both = np.array([left, right])
            self._labels.pin(both, "shares weights with a constant channel")
