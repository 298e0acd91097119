"""Makes a network tolerate narrower tensors: operators with fixed positions run at full width.

A `ChannelSelect` restores the original width before a rigid operator, and another picks the kept
channels after it. Where fixed sizes are all that is rigid, a `Resize` takes its place. Tensors that
are always of full width, such as parameters, are picked from where they meet channels.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from torch import Tensor, fx, nn

from sartor.graph._axes import UnitOf, channel_axis, is_of_channels
from sartor.graph._labelling import Labelling
from sartor.graph._labels import compact
from sartor.graph._layers import KEPT, Slot
from sartor.graph._resize import Resize, fixed_sizes
from sartor.graph._select import ChannelSelect
from sartor.graph._trial import Rigid
from sartor.graph._walk import Arguments, arguments


class Rewiring:
    """Inserts what is needed around rigid nodes, and records which channels each module carries."""

    def __init__(self, labelled: Labelling, unit_of: UnitOf, rigid: Rigid) -> None:
        self.labelled = labelled
        self.network = labelled.network
        self.unit_of = unit_of
        self.rigid = rigid.nodes
        self.resized = rigid.resized
        self.numbers = rigid.numbers
        self.slots: list[Slot] = []

        self._original: dict[fx.Node, Arguments] = {}
        self._fixed: dict[fx.Node, int | float] = {}
        self._full: dict[fx.Node, fx.Node] = {}
        self._narrow: dict[fx.Node, fx.Node] = {}
        self._picked: dict[tuple[fx.Node, int, bytes], fx.Node] = {}

    def apply(self) -> tuple[Slot, ...]:
        """Rewire the graph in place; what each new module carries."""
        graph = self.network.graph
        for node in graph.nodes:
            self._original[node] = (node.args, node.kwargs)
        # While numbers still read what they did.
        for _, number in self.numbers:
            if is_of_channels(self.labelled, self.unit_of, number):
                self._fixed[number] = self.labelled.values[number]

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
            adopted = self.labelled.adopted.get((node, source))
            if adopted is not None:
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

    def _is_constant_tensor(self, node: fx.Node) -> bool:
        is_tensor = isinstance(self.labelled.twins[node], Tensor)
        return is_tensor and self.labelled.is_constant(node)

    def _at_full_width(self, node: fx.Node) -> fx.Node:
        twin = self.labelled.twins[node]
        if isinstance(twin, Tensor):
            return self._insert(node, twin, entering_is_narrow=True)
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
        is_wide = node in self.rigid and not self.labelled.is_constant(node)
        if not is_wide or not isinstance(twin, Tensor):
            return node

        if node not in self._narrow:
            self._narrow[node] = self._insert(node, twin, entering_is_narrow=False)
        return self._narrow[node]

    def _picked_from(self, node: fx.Node, adopted: Tensor) -> fx.Node:
        """What is left of a tensor that is always of full width."""
        found = channel_axis(adopted, self.unit_of)
        # Spread over several axes: that this is wrong is found out when slicing is proved.
        if found is None:
            return node

        dim, units = found
        key = (node, dim, units.tobytes())
        if key not in self._picked:
            self._picked[key] = self._insert(node, adopted, entering_is_narrow=False)
        return self._picked[key]

    def _insert(self, node: fx.Node, twin: Tensor, *, entering_is_narrow: bool) -> fx.Node:
        found = channel_axis(twin, self.unit_of)
        # A tensor that spreads its channels is itself rigid, and so are its users.
        assert found is not None
        dim, units = found
        if (units == KEPT).all():
            return node

        every = torch.arange(len(units))
        name = self._add("select", ChannelSelect(dim, every))
        # The side that stays at full width.
        full = np.full_like(units, KEPT)
        entering, leaving = (units, full) if entering_is_narrow else (full, units)
        slot = Slot(name, "select", entering, leaving, select_dim=dim)
        self.slots.append(slot)

        # Right behind what it reads, so that whoever comes later can read it.
        with self.network.graph.inserting_after(_last_of(node)):
            return self.network.graph.call_module(name, (node,))

    def _resize(self, node: fx.Node) -> None:
        """Put a module in the place of a method that is given fixed sizes."""
        sizes = fixed_sizes(node)
        assert sizes is not None
        module = Resize.of(node, sizes)
        name = self._add("resize", module)

        twin = self.labelled.twins[node]
        units = self.unit_of(compact(twin).numpy().astype(np.int64))
        nothing = np.empty(0, dtype=np.int64)
        self.slots.append(Slot(name, "resize", nothing, units))

        given = [size for size in sizes if isinstance(size, fx.Node)]
        source = node.args[0]
        with self.network.graph.inserting_before(node):
            new = self.network.graph.call_module(name, (source, *given))
        node.replace_all_uses_with(new)
        self.network.graph.erase_node(node)

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
