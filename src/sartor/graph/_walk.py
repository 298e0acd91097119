"""The one interpreter of fx graphs: values node by node, dropped after their last use."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Container, Iterable, Mapping, Sequence
from operator import attrgetter
from typing import Any

import torch
from torch import Tensor, fx, nn

#: Is shown every node with its value, right after it ran.
Visit = Callable[[fx.Node, Any], None]
#: Positional and named arguments of a node.
Arguments = tuple[tuple[Any, ...], dict[str, Any]]


class Walk:
    """One run of a traced network on ``inputs``, in the order of its graph or on demand.

    The graph is the network's, unless it is given.

    A value is dropped once every node that reads it has run, unless ``keep`` is set. Modules are
    looked up when they are called, so what is visited may exchange those that come later.

    ``replaced`` are callables that run instead of the modules of these names. ``known`` are all
    values of an earlier walk over the same graph: only what a replaced module can change runs,
    and only such nodes are visited.

    Override `call` to do something around every operator.

    >>> network = fx.symbolic_trace(torch.nn.Sequential(torch.nn.ReLU(), torch.nn.Flatten()))
    >>> walk = Walk(network, [torch.tensor([[[-1.0, 2.0]]])])
    >>> walk.run(lambda node, value: print(node.name, tuple(value.shape)))
    input_1 (1, 1, 2)
    _0 (1, 1, 2)
    _1 (1, 2)
    output (1, 2)
    tensor([[0., 2.]])
    """

    def __init__(
        self,
        network: nn.Module,
        inputs: Sequence[Any],
        *,
        graph: fx.Graph | None = None,
        keep: bool = False,
        replaced: Mapping[str, Callable[..., Any]] | None = None,
        known: Mapping[fx.Node, Any] | None = None,
    ) -> None:
        if graph is None:
            assert isinstance(network, fx.GraphModule)
            graph = network.graph

        self.network = network
        self.graph = graph
        self.values: dict[fx.Node, Any] = {}
        self._keep = keep
        self._replaced = replaced or {}
        self._known = known or {}

        # Placeholders beyond the inputs have defaults.
        placeholders = [node for node in graph.nodes if node.op == "placeholder"]
        self._inputs = dict(zip(placeholders, inputs, strict=False))

        self._readers_left: dict[fx.Node, int] = {node: len(node.users) for node in graph.nodes}
        self._dropped: set[fx.Node] = set()

        reached = self._reached()
        self._unchanged = self._known.keys() - reached

    def run(self, visit: Visit | None = None) -> Any:
        """Run all nodes, or all that are not known, and return the network's output."""
        result = None
        for node in self.graph.nodes:
            result = self.value(node)
            if node in self._unchanged:
                continue

            if visit is not None:
                visit(node, result)
            if not self._keep:
                self._drop_what_nobody_reads_after(node)

        return result

    def run_to(self, wanted: Sequence[fx.Node], known: Mapping[fx.Node, Any]) -> list[Any]:
        """Values of nodes, from the inputs and ``known`` values; nothing else is kept.

        >>> network = fx.symbolic_trace(torch.nn.Sequential(torch.nn.ReLU(), torch.nn.Flatten()))
        >>> image, relu, flat, output = network.graph.nodes
        >>> Walk(network, []).run_to([flat], {relu: torch.ones(1, 2, 2)})
        [tensor([[1., 1., 1., 1.]])]
        """
        self.values = dict(known)
        path = needed(wanted, known) - known.keys()

        # Only readers on the way count, and whoever asked, who is never done.
        self._readers_left = Counter(source for node in path for source in node.all_input_nodes)
        self._readers_left.update(wanted)
        for node in self.graph.nodes:
            if node in path:
                self.values[node] = self._compute(node)
                self._drop_what_nobody_reads_after(node)

        return [self.values[node] for node in wanted]

    def value(self, node: fx.Node) -> Any:
        """Value of a node; it runs now, and all that it needs, unless it ran already.

        Raises `KeyError` for a node whose value was dropped.
        """
        # A stack instead of recursion, for graphs are deeper than Python's.
        pending = [node]
        while pending:
            missing = self._missing(pending[-1])
            if missing:
                pending += missing
                continue

            ready = pending.pop()
            if not self._has(ready):
                self.values[ready] = self._compute(ready)

        return self._read(node)

    def call(self, node: fx.Node, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        """Run one node on these arguments."""
        if self._is_replaced(node):
            replacement = self._replaced[str(node.target)]
            return replacement(*args, **kwargs)
        return call_node(self.network, node, args, kwargs)

    def _compute(self, node: fx.Node) -> Any:
        if node.op == "placeholder":
            if node in self._inputs:
                return self._inputs[node]
            return default_input(node)

        args, kwargs = arguments(node, self._read)
        return self.call(node, args, kwargs)

    def _missing(self, node: fx.Node) -> list[fx.Node]:
        """What must run before a node can."""
        if self._has(node):
            return []
        if node in self._dropped:
            raise KeyError(f"the value of {node} was dropped after its last use")
        return [source for source in node.all_input_nodes if not self._has(source)]

    def _has(self, node: fx.Node) -> bool:
        return node in self.values or node in self._unchanged

    def _read(self, node: fx.Node) -> Any:
        if node in self.values:
            return self.values[node]
        return self._known[node]

    def _is_replaced(self, node: fx.Node) -> bool:
        return node.op == "call_module" and str(node.target) in self._replaced

    def _reached(self) -> set[fx.Node]:
        """Nodes that a replaced module can change."""
        reached: set[fx.Node] = set()
        if not self._replaced:
            return reached

        for node in self.graph.nodes:
            sources = node.all_input_nodes
            if self._is_replaced(node) or not reached.isdisjoint(sources):
                reached.add(node)

        return reached

    def _drop_what_nobody_reads_after(self, reader: fx.Node) -> None:
        for source in reader.all_input_nodes:
            self._readers_left[source] -= 1
            if not self._readers_left[source]:
                self.values.pop(source, None)
                self._dropped.add(source)


@torch.no_grad()
def walk(network: fx.GraphModule, inputs: Sequence[Tensor], visit: Visit) -> Any:
    """Run a network without gradients, show each value to ``visit``, and return the output."""
    return Walk(network, inputs).run(visit)


def needed(nodes: Iterable[fx.Node], known: Container[fx.Node] = ()) -> set[fx.Node]:
    """All that these nodes are computed from, themselves included, but nothing behind ``known``.

    >>> network = fx.symbolic_trace(torch.nn.Sequential(torch.nn.ReLU(), torch.nn.Flatten()))
    >>> image, relu, flat, output = network.graph.nodes
    >>> needed([flat], known=[relu]) == {relu, flat}
    True
    """
    found: set[fx.Node] = set()
    pending = list(nodes)
    while pending:
        node = pending.pop()
        if node in found:
            continue
        found.add(node)
        if node not in known:
            pending += node.all_input_nodes
    return found


def default_input(node: fx.Node) -> Any:
    """What a placeholder holds where no input is given for it."""
    return node.args[0] if node.args else None


def arguments(node: fx.Node, value_of: Callable[[fx.Node], Any]) -> Arguments:
    """Positional and named arguments of a node, with values in place of nodes."""
    args: Any = fx.node.map_arg(node.args, value_of)
    kwargs: Any = fx.node.map_arg(node.kwargs, value_of)
    return args, kwargs


def call_node(
    network: nn.Module, node: fx.Node, args: tuple[Any, ...], kwargs: dict[str, Any]
) -> Any:
    """Run one node on given arguments; placeholders have none to run."""
    if node.op == "call_function":
        assert callable(node.target)
        return node.target(*args, **kwargs)
    if node.op == "output":
        return args[0]

    target = str(node.target)
    if node.op == "call_module":
        module = network.get_submodule(target)
        return module(*args, **kwargs)
    if node.op == "call_method":
        receiver, *others = args
        method = getattr(receiver, target)
        return method(*others, **kwargs)

    assert node.op == "get_attr"
    return attrgetter(target)(network)
