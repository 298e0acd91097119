"""Makes a network tolerate narrower tensors: operators with fixed channel positions run at full width.

Most operators follow when their input gets narrower. Some do not: ``F.pad(x, (0, 0, 0, 0, 8, 8))``, ``x[:, :58]``,
``x.view(b, 2, 58, h, w)``. Each node is tried on labels of a randomly pruned network; where the labels come out wrong, or
the operator fails, a `ChannelSelect` restores the original width before it and another picks the kept channels after it.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from torch import Tensor, fx

from sartor.graph._labels import NEUTRAL, along
from sartor.graph._layers import KEPT
from sartor.graph._operators import Effect
from sartor.graph._propagation import LabelPropagation
from sartor.graph._select import ChannelSelect
from sartor.machine import BoolArray, IntArray

UnitOf = Callable[[IntArray], IntArray]


class _NarrowTrial:
    """One walk over the labels of a network from which random units were removed."""

    def __init__(self, labelled: LabelPropagation, unit_of: UnitOf, kept: BoolArray) -> None:
        self.labelled, self.unit_of, self.kept = labelled, unit_of, kept
        self.values: dict[fx.Node, Any] = {}
        self._runner = fx.Interpreter(labelled.network)

    def narrow(self, twin: Any) -> Any:
        """What the labels must be after pruning; raises ValueError where channels spread over several axes."""
        if isinstance(twin, (tuple, list)):
            return type(twin)(self.narrow(item) for item in twin)
        if not isinstance(twin, Tensor):
            return twin
        found = channel_axis(twin)
        if found is not None:
            dim, channels = found
            units = self.unit_of(channels)
            keep = np.flatnonzero(
                np.append(self.kept, True)[units]
            )  # the unit KEPT is −1: the last
            return twin.index_select(dim, torch.from_numpy(keep))
        if twin.dim() and (self.unit_of(np.unique(twin.numpy()).astype(np.int64)) != KEPT).any():
            raise ValueError("channels spread over several axes")
        return twin

    def rigid_nodes(self) -> set[fx.Node]:
        """Nodes that give wrong labels, or fail, on the narrower tensors."""
        rigid: set[fx.Node] = set()
        for node in self.labelled.network.graph.nodes:
            twin = self.labelled.twins[node]
            try:
                expected = self.narrow(twin)
            except ValueError:
                rigid.add(node)
                self.values[node] = twin
                continue
            if node.op.startswith("call") and (
                twin is None or self.labelled.effect(node) is Effect.MOVE
            ):
                self.values[node] = self._try(node, expected, rigid)
            else:
                self.values[node] = self.labelled.values[node] if expected is None else expected
        return rigid

    def _try(self, node: fx.Node, expected: Any, rigid: set[fx.Node]) -> Any:
        if any(source in rigid for source in node.all_input_nodes):
            if expected is not None:
                rigid.add(node)
            return self.labelled.values[node] if expected is None else expected
        args = fx.node.map_arg(node.args, lambda n: self.values[n])
        kwargs = fx.node.map_arg(node.kwargs, lambda n: self.values[n])
        try:
            actual = getattr(self._runner, node.op)(node.target, args, kwargs)
        except Exception:  # somebody's forward pass may raise anything on narrower tensors
            rigid.add(node)
            return expected
        if expected is not None and not self._same(actual, expected):
            rigid.add(node)
            return expected
        return actual

    def _same(self, actual: Any, expected: Any) -> bool:
        """Equal labels; padding counts as equal where it is never removed."""
        if isinstance(expected, (tuple, list)):
            return len(actual) == len(expected) and all(map(self._same, actual, expected))
        if not isinstance(expected, Tensor):
            return True
        if actual.shape != expected.shape:
            return False
        wrong = np.unique(expected[actual != expected].numpy()).astype(np.int64)
        return not bool((actual[actual != expected] != NEUTRAL).any()) and bool(
            (self.unit_of(wrong) == KEPT).all()
        )


def find_rigid(
    labelled: LabelPropagation, unit_of: UnitOf, groups: list[IntArray], trials: int = 3
) -> set[fx.Node]:
    """Nodes that cannot follow narrower tensors, found by trying random prunings of all groups."""
    rng = np.random.default_rng(0)
    units = 1 + max((int(group.max()) for group in groups), default=-1)
    rigid: set[fx.Node] = set()
    for _ in range(trials if units else 0):
        kept = np.ones(units, dtype=np.bool_)
        for group in groups:
            drop = rng.permutation(group)[: max(len(group) // 3, min(1, len(group) - 1))]
            kept[drop] = False
        rigid |= _NarrowTrial(labelled, unit_of, kept).rigid_nodes()
    return rigid


class Rewiring:
    """Inserts the selections around rigid nodes and remembers which channels each of them carries."""

    def __init__(self, labelled: LabelPropagation, rigid: set[fx.Node]) -> None:
        self.labelled, self.rigid = labelled, rigid
        self.selects: dict[str, tuple[IntArray, IntArray]] = {}
        self._original: dict[fx.Node, tuple[Any, Any]] = {}
        self._full: dict[fx.Node, fx.Node] = {}
        self._narrow: dict[fx.Node, fx.Node] = {}

    def apply(self) -> dict[str, tuple[IntArray, IntArray]]:
        """Rewire the graph in place; labels entering and leaving each new module, by its name."""
        graph = self.labelled.network.graph
        self._original = {node: (node.args, node.kwargs) for node in graph.nodes}
        for node in self._original:
            if node in self.rigid:
                with graph.inserting_before(node):
                    node.args = fx.node.map_arg(node.args, self._widened)
                    node.kwargs = fx.node.map_arg(node.kwargs, self._widened)
            elif any(source in self.rigid for source in node.all_input_nodes):
                with graph.inserting_before(node):
                    node.args = fx.node.map_arg(node.args, self._narrowed)
                    node.kwargs = fx.node.map_arg(node.kwargs, self._narrowed)
        graph.eliminate_dead_code()
        graph.lint()
        self.labelled.network.recompile()
        return self.selects

    def _widened(self, node: fx.Node) -> fx.Node:
        """The same node at full width: widened if it is a tensor, recomputed from full-width shapes if it is a number."""
        twin = self.labelled.twins[node]
        if node in self.rigid:
            return node
        if node not in self._full:
            graph = self.labelled.network.graph
            if isinstance(twin, Tensor):
                self._full[node] = self._insert(node, entering_is_narrow=True)
            elif node.op in ("placeholder", "get_attr"):
                return node
            else:
                args, kwargs = (
                    fx.node.map_arg(item, self._widened) for item in self._original[node]
                )
                copy = graph.node_copy(node)  # after its arguments, which may be new nodes too
                copy.args, copy.kwargs = args, kwargs
                self._full[node] = copy
        return self._full[node]

    def _narrowed(self, node: fx.Node) -> fx.Node:
        if node not in self.rigid or not isinstance(self.labelled.twins[node], Tensor):
            return node
        if node not in self._narrow:
            self._narrow[node] = self._insert(node, entering_is_narrow=False)
        return self._narrow[node]

    def _insert(self, node: fx.Node, *, entering_is_narrow: bool) -> fx.Node:
        twin = self.labelled.twins[node]
        found = channel_axis(twin)
        assert (
            found is not None
        )  # a tensor that spreads its channels is itself rigid, and so are its users
        dim, channels = found
        name = next(
            name
            for i in itertools.count()
            if not hasattr(self.labelled.network, name := f"select_{i}")
        )
        self.labelled.network.add_submodule(name, ChannelSelect(dim, torch.arange(len(channels))))
        full = np.full(
            len(channels), NEUTRAL - 1, dtype=np.int64
        )  # marks the side that stays at full width
        self.selects[name] = (channels, full) if entering_is_narrow else (full, channels)
        return self.labelled.network.graph.call_module(name, (node,))


def channel_axis(twin: Tensor) -> tuple[int, IntArray] | None:
    """The axis along which the labels vary, with the label of each index; None if they vary along several."""
    candidates = [
        (dim, channels) for dim in range(twin.dim()) if (channels := along(twin, dim)) is not None
    ]
    varying = [(dim, channels) for dim, channels in candidates if (channels != channels[0]).any()]
    return next(iter(varying or [c for c in candidates if c[0] == 1] or candidates), None)
