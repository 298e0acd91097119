"""Makes a network tolerate narrower tensors: operators with fixed positions run at full width.

A `ChannelSelect` restores the original width before a rigid operator, and another picks the kept
channels after it. Where fixed sizes are all that is rigid, a `Resize` takes its place. Tensors that
are always of full width, such as parameters, are picked from where they meet channels.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor, fx, nn

from sartor.graph._axes import Tracked, is_of_channels
from sartor.graph._labels import compact
from sartor.graph._layers import KEPT, NO_HEADS, Slot
from sartor.graph._resize import Resize, fixed_sizes
from sartor.graph._select import ChannelSelect
from sartor.graph._trial import Rigid
from sartor.graph._walk import Arguments, arguments
from sartor.machine import IntArray

#: Units and heads of the places along each axis of a tensor.
_Axes = dict[int, list[IntArray]]


class Rewiring:
    """Inserts what is needed around rigid nodes, and records which channels each module carries."""

    def __init__(self, tracked: Sequence[Tracked], rigid: Rigid) -> None:
        self.tracked = tracked
        self.values = tracked[0].labelled.values
        self.network = tracked[0].labelled.network
        self.rigid = rigid.nodes
        self.resized = rigid.resized
        self.numbers = rigid.numbers
        self.slots: list[Slot] = []

        self._original: dict[fx.Node, Arguments] = {}
        self._fixed: dict[fx.Node, int | float] = {}
        self._sizes: dict[fx.Node, list[Any]] = {}
        self._full: dict[fx.Node, fx.Node] = {}
        self._narrow: dict[fx.Node, fx.Node] = {}
        self._picked: dict[tuple[fx.Node, tuple[Any, ...]], fx.Node] = {}

    def apply(self) -> tuple[Slot, ...]:
        """Rewire the graph in place; what each new module carries."""
        graph = self.network.graph
        for node in graph.nodes:
            self._original[node] = (node.args, node.kwargs)
        # While numbers still read what they did.
        for _, number in self.numbers:
            if any(is_of_channels(each.labelled, each.unit_of, number) for each in self.tracked):
                self._fixed[number] = self.values[number]
        for node in self.resized:
            self._sizes[node] = fixed_sizes(node, self._number_of_channels) or []

        # Not over the graph, which grows meanwhile.
        for node in self._original:
            if node in self.rigid:
                self._read(node, self._widened)
            else:
                self._read(node, self._reader_of(node))
        for node in self._original:
            if node in self.resized:
                self._resize(node)

        graph.eliminate_dead_code()
        graph.lint()
        self.network.recompile()
        return tuple(self.slots)

    def _read(self, node: fx.Node, instead: Callable[[fx.Node], Any]) -> None:
        """Let a node read something else than it does."""
        with self.network.graph.inserting_before(node):
            node.args, node.kwargs = arguments(node, instead)

    def _reader_of(self, node: fx.Node) -> Callable[[fx.Node], Any]:
        """What a node that follows reads for each of its sources."""

        def instead(source: fx.Node) -> Any:
            if (node, source) in self.numbers:
                return self._number(source)
            adopted = [each.labelled.adopted.get((node, source)) for each in self.tracked]
            if any(twin is not None for twin in adopted):
                return self._picked_from(source, adopted)
            return self._narrowed(source)

        return instead

    def _number(self, node: fx.Node) -> Any:
        """What a number is at full width.

        A constant where channels alone decide; else it is computed again, of what they do not.
        """
        if node in self._fixed:
            return self._fixed[node]
        return self._widened(node)

    def _widened(self, node: fx.Node) -> fx.Node:
        """The same node at full width.

        A tensor is widened; a number is computed again from full-width shapes.
        """
        if node in self.rigid or self._is_constant_tensor(node):
            return node
        if node not in self._full:
            self._full[node] = self._at_full_width(node)
        return self._full[node]

    def _twins(self, node: fx.Node) -> list[Any]:
        return [each.labelled.twins[node] for each in self.tracked]

    def _is_constant(self, node: fx.Node) -> bool:
        return all(each.labelled.is_constant(node) for each in self.tracked)

    def _is_constant_tensor(self, node: fx.Node) -> bool:
        is_tensor = isinstance(self._twins(node)[0], Tensor)
        return is_tensor and self._is_constant(node)

    def _at_full_width(self, node: fx.Node) -> fx.Node:
        twins = self._twins(node)
        if isinstance(twins[0], Tensor):
            return self._insert(node, twins, entering_is_narrow=True)
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
        twins = self._twins(node)
        is_wide = node in self.rigid and not self._is_constant(node)
        if not is_wide or not isinstance(twins[0], Tensor):
            return node

        if node not in self._narrow:
            self._narrow[node] = self._insert(node, twins, entering_is_narrow=False)
        return self._narrow[node]

    def _picked_from(self, node: fx.Node, adopted: Sequence[Tensor | None]) -> fx.Node:
        """What is left of a tensor that is always of full width."""
        axes = self._axes(adopted)
        # Spread over several axes: that this is wrong is found out when slicing is proved.
        if axes is None:
            return node

        parts = [(dim, units.tobytes(), heads.tobytes()) for dim, (units, heads) in axes.items()]
        key = (node, tuple(parts))
        if key not in self._picked:
            self._picked[key] = self._insert(node, adopted, entering_is_narrow=False)
        return self._picked[key]

    def _axes(self, twins: Sequence[Tensor | None]) -> _Axes | None:
        """Units and heads along each axis where there are any; None if they are spread."""
        axes: _Axes = {}
        for place, (each, twin) in enumerate(zip(self.tracked, twins, strict=True)):
            if twin is None:
                continue
            found = each.axis(twin)
            if found is None:
                return None
            dim, units = found
            if (units == KEPT).all():
                continue
            kinds = axes.setdefault(dim, [np.full_like(units, KEPT), NO_HEADS])
            kinds[place] = units
        return axes

    def _insert(
        self, node: fx.Node, twins: Sequence[Tensor | None], *, entering_is_narrow: bool
    ) -> fx.Node:
        axes = self._axes(twins)
        # A tensor that spreads its channels is itself rigid, and so are its users.
        assert axes is not None

        for dim, (units, heads) in axes.items():
            every = torch.arange(len(units))
            name = self._add("select", ChannelSelect(dim, every))
            # The side that stays at full width.
            full = np.full_like(units, KEPT)
            if entering_is_narrow:
                slot = Slot(name, "select", units, full, in_heads=heads, select_dim=dim)
            else:
                slot = Slot(name, "select", full, units, out_heads=heads, select_dim=dim)
            self.slots.append(slot)

            # Right behind what it reads, so that whoever comes later can read it.
            with self.network.graph.inserting_after(_last_of(node)):
                node = self.network.graph.call_module(name, (node,))
        return node

    def _resize(self, node: fx.Node) -> None:
        """Put a module in the place of a method that is given fixed sizes."""
        sizes = fixed_sizes(node)
        assert sizes is not None
        for axis, known in enumerate(self._sizes[node]):
            if isinstance(known, int):
                sizes[axis] = known
        module = Resize.of(node, sizes)
        name = self._add("resize", module)

        units = [
            each.unit_of(compact(twin).numpy().astype(np.int64))
            for each, twin in zip(self.tracked, self._twins(node), strict=True)
        ]
        nothing = np.empty(0, dtype=np.int64)
        self.slots.append(Slot(name, "resize", nothing, units[0], out_heads=_heads_of(units)))

        given = [size for size in sizes if isinstance(size, fx.Node)]
        source = node.args[0]
        with self.network.graph.inserting_before(node):
            new = self.network.graph.call_module(name, (source, *given))
        node.replace_all_uses_with(new)
        self.network.graph.erase_node(node)

    def _number_of_channels(self, node: fx.Node) -> int | None:
        found = [each.number(node) for each in self.tracked]
        return next((number for number in found if number is not None), None)

    def _add(self, kind: str, module: nn.Module) -> str:
        for number in itertools.count():
            name = f"{kind}_{number}"
            if not hasattr(self.network, name):
                break
        self.network.add_submodule(name, module)
        return name


def _last_of(node: fx.Node) -> fx.Node:
    """A node behind which its readers can stand: placeholders come all together."""
    while node.op == "placeholder" and node.next.op == "placeholder":
        node = node.next
    return node


def _heads_of(units: Sequence[IntArray]) -> IntArray:
    _, *heads = units
    return heads[0] if heads else NO_HEADS
