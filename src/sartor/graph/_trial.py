"""Tries which operators follow when tensors get narrower, on the labels of a pruned network."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from torch import Tensor, fx

from sartor.graph._axes import Tracked
from sartor.graph._labels import NEUTRAL, distinct
from sartor.graph._layers import KEPT
from sartor.graph._resize import Resize, fixed_sizes
from sartor.graph.effects import run_on_labels
from sartor.machine import BoolArray


@dataclass
class Rigid:
    """Nodes that cannot follow narrower tensors.

    Attributes:
        nodes: Those that run at full width.
        resized: Those that follow if the fixed sizes that they are given do.
        numbers: Pairs of a node and a number that it computes with, such as a size that it divides
            by, where that must stay as it was.
    """

    nodes: set[fx.Node] = field(default_factory=set)
    resized: set[fx.Node] = field(default_factory=set)
    numbers: set[tuple[fx.Node, fx.Node]] = field(default_factory=set)


class NarrowTrial:
    """One walk over the labels of a network from which random units were removed."""

    def __init__(self, tracked: Tracked, kept: BoolArray, found: Rigid) -> None:
        self.tracked = tracked
        self.labelled = tracked.labelled
        self.unit_of = tracked.unit_of
        self.kept = kept
        self.found = found
        self.rigid: set[fx.Node] = set()
        self.values: dict[fx.Node, Any] = {}

    def run(self) -> None:
        """Add nodes that give wrong labels, or fail, on the narrower tensors."""
        for node in self.labelled.network.graph.nodes:
            self.values[node] = self._value(node)
        self.found.nodes |= self.rigid

    def _value(self, node: fx.Node) -> Any:
        if self.labelled.is_constant(node) and self.labelled.twins[node] is not None:
            return self._constant(node)

        twin = self.labelled.twins[node]
        try:
            expected = self._narrow(twin)
        except ValueError:
            self.rigid.add(node)
            return twin

        is_call = node.op.startswith("call")
        if isinstance(twin, Tensor) and not self.labelled.moves(node):
            self._note_numbers(node)
        if is_call and (twin is None or self.labelled.moves(node)):
            return self._try(node, expected)

        if expected is None:
            return self.labelled.values[node]
        return expected

    def _note_numbers(self, node: fx.Node) -> None:
        """What is computed stays the same where sizes change."""
        for source in node.all_input_nodes:
            full = self.labelled.values[source]
            if isinstance(full, (int, float)) and self.values[source] != full:
                self.found.numbers.add((node, source))

    def _constant(self, node: fx.Node) -> Any:
        """What does not depend on inputs has its full size, whatever sizes of others it is of."""
        for source in node.all_input_nodes:
            full = self.labelled.values[source]
            if isinstance(full, int) and self.values[source] != full:
                self.rigid.add(node)
        return self.labelled.twins[node]

    def _narrow(self, twin: Any) -> Any:
        """What the labels must be after pruning.

        Raises ValueError where channels spread over several axes.
        """
        if isinstance(twin, (tuple, list)):
            return [self._narrow(item) for item in twin]
        if not isinstance(twin, Tensor):
            return twin

        found = self.tracked.axis(twin)
        if found is not None:
            dim, units = found
            # The unit KEPT is −1: the last.
            stays = np.append(self.kept, True)
            keep = np.flatnonzero(stays[units])
            return twin.index_select(dim, torch.from_numpy(keep))

        units = self.unit_of(distinct(twin))
        is_removable = units != KEPT
        if twin.dim() and is_removable.any():
            raise ValueError("channels spread over several axes")
        return twin

    def _try(self, node: fx.Node, expected: Any) -> Any:
        # What comes of a rigid node has full width, on which nothing can be learned.
        if any(self._is_wide(source) for source in node.all_input_nodes):
            if expected is None:
                return self.labelled.values[node]
            self.rigid.add(node)
            return expected

        actual = self._run(node)
        if actual is not None and (expected is None or self._same(actual, expected)):
            return actual
        if isinstance(expected, Tensor) and self._same(self._resized(node, expected), expected):
            self.found.resized.add(node)
            return expected

        self.rigid.add(node)
        return expected

    def _is_wide(self, node: fx.Node) -> bool:
        return node in self.rigid and not self.labelled.is_constant(node)

    def _run(self, node: fx.Node) -> Any:
        """What a node gives on narrower tensors; None if it fails."""
        operands = {source: self._operand(node, source) for source in node.all_input_nodes}
        try:
            return run_on_labels(self.labelled, node, operands)
        except Exception:  # somebody's forward pass may raise anything on narrower tensors
            return None

    def _operand(self, node: fx.Node, source: fx.Node) -> Any:
        adopted = self.labelled.adopted.get((node, source))
        if adopted is None:
            return self.values[source]
        try:
            return self._narrow(adopted)
        except ValueError:
            return adopted

    def _resized(self, node: fx.Node, expected: Tensor) -> Any:
        """What a node gives if it is given the sizes that are left."""
        sizes = fixed_sizes(node, self.tracked.number)
        if sizes is None or len(sizes) != expected.dim():
            return None

        full = self.labelled.twins[node].shape
        pairs = zip(expected.shape, full, strict=True)
        counts = [None if now == before else (now, before) for now, before in pairs]
        given = [self.values[size] for size in sizes if isinstance(size, fx.Node)]
        module = Resize.of(node, sizes).to_counts(counts)
        try:
            return module(self._operand(node, node.all_input_nodes[0]), *given)
        except Exception:  # sizes that do not fit
            return None

    def _same(self, actual: Any, expected: Any) -> bool:
        """Equal labels; padding counts as equal where it is never removed."""
        if isinstance(expected, (tuple, list)):
            same_length = isinstance(actual, (tuple, list)) and len(actual) == len(expected)
            return same_length and all(map(self._same, actual, expected))
        if not isinstance(expected, Tensor):
            return True
        if not isinstance(actual, Tensor) or actual.shape != expected.shape:
            return False

        different = actual != expected
        is_padding = actual[different] == NEUTRAL
        only_padding = bool(is_padding.all())

        wrong = distinct(expected[different])
        is_kept = self.unit_of(wrong) == KEPT
        stays = bool(is_kept.all())
        return only_padding and stays
