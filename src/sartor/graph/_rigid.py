"""Finds the operators that cannot follow when tensors get narrower.

Most operators follow when their input gets narrower. Some do not: ``F.pad(x, (0, 0, 0, 0, 8, 8))``,
``x[:, :58]``, ``x.view(b, 2, 58, h, w)``. Each node is tried on labels of a randomly pruned
network; where the labels come out wrong, or the operator fails, it is rigid.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from torch import Tensor, fx

from sartor.graph._labelling import Labelling
from sartor.graph._labels import NEUTRAL, compact, distinct
from sartor.graph._layers import KEPT
from sartor.graph._resize import Resize, fixed_sizes
from sartor.graph._walk import Walk
from sartor.graph.effects import run_on_labels
from sartor.machine import BoolArray, IntArray

UnitOf = Callable[[IntArray], IntArray]

#: Below all units: what carries no channel agrees with any.
_ANY = KEPT - 1


@dataclass
class Rigid:
    """Nodes that cannot follow narrower tensors.

    Attributes:
        nodes: Those that run at full width.
        resized: Those that follow if the fixed sizes that they are given do.
        numbers: What a node computes with, such as a size that it divides by, and what it was.
    """

    nodes: set[fx.Node] = field(default_factory=set)
    resized: set[fx.Node] = field(default_factory=set)
    numbers: dict[tuple[fx.Node, fx.Node], int | float] = field(default_factory=dict)


def find_rigid(
    labelled: Labelling, unit_of: UnitOf, groups: Sequence[IntArray], trials: int = 4
) -> Rigid:
    """Nodes that cannot follow narrower tensors, found by trying random prunings of all groups."""
    found = Rigid()
    if not groups:
        return found

    rng = np.random.default_rng(0)
    for draw in [_thirds, *[_different_shares] * (trials - 1)]:
        kept = _random_pruning(groups, draw, rng)
        _NarrowTrial(labelled, unit_of, kept, found).run()

    found.resized -= found.nodes
    _forget_what_depends_on_the_batch(labelled, found)
    return found


@torch.no_grad()
def _forget_what_depends_on_the_batch(labelled: Labelling, found: Rigid) -> None:
    """Numbers that are others for another batch cannot stay as they are."""
    if not found.numbers:
        return

    inputs = []
    for node in labelled.network.graph.nodes:
        if node.op == "placeholder" and isinstance(labelled.values[node], Tensor):
            inputs.append(torch.cat([labelled.values[node]] * 2))

    walk = Walk(labelled.network, inputs)
    for pair, number in list(found.numbers.items()):
        _, source = pair
        try:
            is_same = walk.value(source) == number
        except Exception:  # the network itself takes no other batch
            return
        if not is_same:
            del found.numbers[pair]


def channel_axis(twin: Tensor, unit_of: UnitOf) -> tuple[int, IntArray] | None:
    """The axis along which units vary, with the unit of each index.

    None if they vary along several; the axis of channels, 1, if they vary along none.
    """
    candidates: dict[int, IntArray] = {}
    for dim in range(twin.dim()):
        units = _units_along(twin, dim, unit_of)
        if units is not None:
            candidates[dim] = units

    for dim, units in candidates.items():
        if (units != units[:1]).any():
            return dim, units

    if 1 in candidates:
        return 1, candidates[1]
    return next(iter(candidates.items()), None)


def _units_along(twin: Tensor, dim: int, unit_of: UnitOf) -> IntArray | None:
    """Unit of each index of an axis; None if units vary along others too."""
    labels = compact(twin, keep=dim).numpy().astype(np.int64)
    units = np.where(labels == NEUTRAL, _ANY, unit_of(labels))
    others = units.size // max(1, labels.shape[dim])
    rows = np.moveaxis(units, dim, 0).reshape(labels.shape[dim], others)

    unit = rows.max(1, keepdims=True, initial=_ANY)
    agrees = (rows == unit) | (rows == _ANY)
    if not agrees.all():
        return None
    return np.maximum(unit[:, 0], KEPT)


def _random_pruning(
    groups: Sequence[IntArray],
    draw: Callable[[Sequence[IntArray], np.random.Generator], list[int]],
    rng: np.random.Generator,
) -> BoolArray:
    """Whether each unit is kept where some of every group are removed."""
    units = 1 + max(int(group.max()) for group in groups)
    kept = np.ones(units, dtype=np.bool_)
    for group, count in zip(groups, draw(groups, rng), strict=True):
        removed = rng.permutation(group)[:count]
        kept[removed] = False
    return kept


def _thirds(groups: Sequence[IntArray], _: np.random.Generator) -> list[int]:
    """A third of every group, and at least one; a group of one unit loses none."""
    return [max(len(group) // 3, min(1, len(group) - 1)) for group in groups]


def _different_shares(groups: Sequence[IntArray], rng: np.random.Generator) -> list[int]:
    """From few to many, in random order: what is right for equal widths only is found out."""
    order = rng.permutation(len(groups))
    shares = (order + 0.5) / len(groups)

    counts = []
    for share, group in zip(shares, groups, strict=True):
        most = len(group) - 1
        count = round(share * most)
        counts.append(max(count, min(1, most)))
    return counts


class _NarrowTrial:
    """One walk over the labels of a network from which random units were removed."""

    def __init__(self, labelled: Labelling, unit_of: UnitOf, kept: BoolArray, found: Rigid) -> None:
        self.labelled = labelled
        self.unit_of = unit_of
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
                self.found.numbers[node, source] = full

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

        found = channel_axis(twin, self.unit_of)
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
        sizes = fixed_sizes(node)
        if sizes is None or len(sizes) != expected.dim():
            return None

        full = self.labelled.twins[node].shape
        counts = [
            None if now == before else now for now, before in zip(expected.shape, full, strict=True)
        ]
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
