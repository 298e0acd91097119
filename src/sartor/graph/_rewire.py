"""Makes a network tolerate narrower tensors: operators with fixed positions run at full width.

Most operators follow when their input gets narrower. Some do not: ``F.pad(x, (0, 0, 0, 0, 8, 8))``,
``x[:, :58]``, ``x.view(b, 2, 58, h, w)``. Each node is tried on labels of a randomly pruned
network; where the labels come out wrong, or the operator fails, a `ChannelSelect` restores the
original width before it and another picks the kept channels after it.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor, fx

from sartor.graph._labels import NEUTRAL, along, distinct
from sartor.graph._layers import KEPT
from sartor.graph._propagation import LabelPropagation
from sartor.graph._select import ChannelSelect
from sartor.graph._walk import Arguments, arguments, call_node
from sartor.machine import BoolArray, IntArray

UnitOf = Callable[[IntArray], IntArray]
#: Labels that enter a selection, and labels that leave it.
Sides = tuple[IntArray, IntArray]


class _NarrowTrial:
    """One walk over the labels of a network from which random units were removed."""

    def __init__(self, labelled: LabelPropagation, unit_of: UnitOf, kept: BoolArray) -> None:
        self.labelled = labelled
        self.unit_of = unit_of
        self.kept = kept

        self.values: dict[fx.Node, Any] = {}
        self.rigid: set[fx.Node] = set()

    def rigid_nodes(self) -> set[fx.Node]:
        """Nodes that give wrong labels, or fail, on the narrower tensors."""
        for node in self.labelled.network.graph.nodes:
            self.values[node] = self._value(node)
        return self.rigid

    def _value(self, node: fx.Node) -> Any:
        twin = self.labelled.twins[node]
        try:
            expected = self._narrow(twin)
        except ValueError:
            self.rigid.add(node)
            return twin

        is_call = node.op.startswith("call")
        if is_call and (twin is None or self.labelled.moves(node)):
            return self._try(node, expected)

        if expected is None:
            return self.labelled.values[node]
        return expected

    def _narrow(self, twin: Any) -> Any:
        """What the labels must be after pruning.

        Raises ValueError where channels spread over several axes.
        """
        if isinstance(twin, (tuple, list)):
            return [self._narrow(item) for item in twin]
        if not isinstance(twin, Tensor):
            return twin

        found = channel_axis(twin)
        if found is not None:
            dim, channels = found
            keep = self._positions_kept(channels)
            return twin.index_select(dim, keep)

        units = self.unit_of(distinct(twin))
        is_removable = units != KEPT
        if twin.dim() and is_removable.any():
            raise ValueError("channels spread over several axes")
        return twin

    def _positions_kept(self, channels: IntArray) -> Tensor:
        units = self.unit_of(channels)
        # The unit KEPT is −1: the last.
        stays = np.append(self.kept, True)
        keep = np.flatnonzero(stays[units])
        return torch.from_numpy(keep)

    def _try(self, node: fx.Node, expected: Any) -> Any:
        # What comes of a rigid node has full width, on which nothing can be learned.
        sources = node.all_input_nodes
        if not self.rigid.isdisjoint(sources):
            if expected is None:
                return self.labelled.values[node]
            self.rigid.add(node)
            return expected

        args, kwargs = arguments(node, self.values.__getitem__)
        try:
            actual = call_node(self.labelled.network, node, args, kwargs)
        except Exception:  # somebody's forward pass may raise anything on narrower tensors
            self.rigid.add(node)
            return expected

        if expected is not None and not self._same(actual, expected):
            self.rigid.add(node)
            return expected
        return actual

    def _same(self, actual: Any, expected: Any) -> bool:
        """Equal labels; padding counts as equal where it is never removed."""
        if isinstance(expected, (tuple, list)):
            same_length = len(actual) == len(expected)
            return same_length and all(map(self._same, actual, expected))
        if not isinstance(expected, Tensor):
            return True
        if actual.shape != expected.shape:
            return False

        different = actual != expected
        is_padding = actual[different] == NEUTRAL
        only_padding = bool(is_padding.all())

        wrong = distinct(expected[different])
        is_kept = self.unit_of(wrong) == KEPT
        stays = bool(is_kept.all())
        return only_padding and stays


def find_rigid(
    labelled: LabelPropagation, unit_of: UnitOf, groups: Sequence[IntArray], trials: int = 3
) -> set[fx.Node]:
    """Nodes that cannot follow narrower tensors, found by trying random prunings of all groups."""
    rigid: set[fx.Node] = set()
    if not groups:
        return rigid

    rng = np.random.default_rng(0)
    for _ in range(trials):
        kept = _random_pruning(groups, rng)
        trial = _NarrowTrial(labelled, unit_of, kept)
        rigid |= trial.rigid_nodes()
    return rigid


def _random_pruning(groups: Sequence[IntArray], rng: np.random.Generator) -> BoolArray:
    """Whether each unit is kept where a third of every group is removed, and at least one."""
    units = 1 + max(int(group.max()) for group in groups)
    kept = np.ones(units, dtype=np.bool_)

    for group in groups:
        order = rng.permutation(group)
        # A group of one unit loses none.
        at_least = min(1, len(group) - 1)
        third = len(group) // 3
        count = max(third, at_least)

        removed = order[:count]
        kept[removed] = False

    return kept


class Rewiring:
    """Inserts the selections around rigid nodes, and records which channels each one carries."""

    def __init__(self, labelled: LabelPropagation, rigid: set[fx.Node]) -> None:
        self.labelled = labelled
        self.network = labelled.network
        self.rigid = rigid
        #: Labels that enter and leave each new module.
        self.selects: dict[str, Sides] = {}

        self._original: dict[fx.Node, Arguments] = {}
        self._full: dict[fx.Node, fx.Node] = {}
        self._narrow: dict[fx.Node, fx.Node] = {}

    def apply(self) -> dict[str, Sides]:
        """Rewire the graph in place; labels entering and leaving each new module, by its name."""
        graph = self.network.graph
        for node in graph.nodes:
            self._original[node] = (node.args, node.kwargs)

        # Not over the graph, which grows meanwhile.
        for node in self._original:
            sources = node.all_input_nodes
            if node in self.rigid:
                self._read(node, self._widened)
            elif not self.rigid.isdisjoint(sources):
                self._read(node, self._narrowed)

        graph.eliminate_dead_code()
        graph.lint()
        self.network.recompile()
        return self.selects

    def _read(self, node: fx.Node, instead: Callable[[fx.Node], fx.Node]) -> None:
        """Let a node read something else than it does."""
        with self.network.graph.inserting_before(node):
            node.args, node.kwargs = arguments(node, instead)

    def _widened(self, node: fx.Node) -> fx.Node:
        """The same node at full width.

        A tensor is widened; a number is computed again from full-width shapes.
        """
        if node in self.rigid:
            return node
        if node not in self._full:
            self._full[node] = self._at_full_width(node)
        return self._full[node]

    def _at_full_width(self, node: fx.Node) -> fx.Node:
        twin = self.labelled.twins[node]
        if isinstance(twin, Tensor):
            return self._insert(node, entering_is_narrow=True)
        if node.op in ("placeholder", "get_attr"):
            return node

        args, kwargs = self._original[node]
        wide_args: Any = fx.node.map_arg(args, self._widened)
        wide_kwargs: Any = fx.node.map_arg(kwargs, self._widened)

        # The copy comes after its arguments, which may be new nodes too.
        copy = self.network.graph.node_copy(node)
        copy.args = wide_args
        copy.kwargs = wide_kwargs
        return copy

    def _narrowed(self, node: fx.Node) -> fx.Node:
        twin = self.labelled.twins[node]
        is_wide = node in self.rigid
        if not is_wide or not isinstance(twin, Tensor):
            return node

        if node not in self._narrow:
            self._narrow[node] = self._insert(node, entering_is_narrow=False)
        return self._narrow[node]

    def _insert(self, node: fx.Node, *, entering_is_narrow: bool) -> fx.Node:
        twin = self.labelled.twins[node]
        found = channel_axis(twin)
        # A tensor that spreads its channels is itself rigid, and so are its users.
        assert found is not None
        dim, channels = found

        name = self._free_name()
        every = torch.arange(len(channels))
        select = ChannelSelect(dim, every)
        self.network.add_submodule(name, select)

        # Marks the side that stays at full width.
        full = np.full_like(channels, NEUTRAL - 1)
        if entering_is_narrow:
            self.selects[name] = (channels, full)
        else:
            self.selects[name] = (full, channels)

        return self.network.graph.call_module(name, (node,))

    def _free_name(self) -> str:
        for number in itertools.count():
            name = f"select_{number}"
            if not hasattr(self.network, name):
                break
        return name


def channel_axis(twin: Tensor) -> tuple[int, IntArray] | None:
    """The axis along which the labels vary, with the label of each index.

    None if they vary along several; the axis of channels, 1, if they vary along none.
    """
    candidates: dict[int, IntArray] = {}
    for dim in range(twin.dim()):
        channels = along(twin, dim)
        if channels is not None:
            candidates[dim] = channels

    for dim, channels in candidates.items():
        varies = channels != channels[0]
        if varies.any():
            return dim, channels

    if 1 in candidates:
        return 1, candidates[1]
    return next(iter(candidates.items()), None)
