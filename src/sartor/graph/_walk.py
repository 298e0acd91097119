"""The one interpreter of fx graphs: values node by node, dropped after their last use."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from operator import attrgetter
from typing import Any

import torch
from torch import Tensor, fx

#: Is shown every node with its value, right after it ran.
Visit = Callable[[fx.Node, Any], None]


class Walk:
    """One run of a traced network on ``inputs``, in the order of its graph or on demand.

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
        network: fx.GraphModule,
        inputs: Sequence[Any],
        *,
        keep: bool = False,
        replaced: Mapping[str, Callable[..., Any]] | None = None,
        known: Mapping[fx.Node, Any] | None = None,
    ) -> None:
        nodes = network.graph.nodes
        placeholders = [node for node in nodes if node.op == "placeholder"]
        self.network = network
        self.values: dict[fx.Node, Any] = {}
        self._inputs = dict(zip(placeholders, inputs, strict=False))
        self._keep = keep
        self._replaced = replaced or {}
        self._known = known or {}
        self._readers_left = {node: len(node.users) for node in nodes}

    def run(self, visit: Visit | None = None) -> Any:
        """Run all nodes, or all that are not known, and return the network's output."""
        result = None
        for node in self.network.graph.nodes:
            result = self.value(node)
            if node not in self.values:
                continue  # it is as in the earlier walk
            if visit is not None:
                visit(node, result)
            if not self._keep:
                self._drop_what_nobody_reads_after(node)
        return result

    def value(self, node: fx.Node) -> Any:
        """Value of a node; it runs now, and all that it needs, unless it ran already.

        Raises `KeyError` for a node whose value was dropped.
        """
        if node in self.values:
            return self.values[node]
        if not self._readers_left[node] and node.users:
            raise KeyError(f"the value of {node} was dropped after its last use")
        if node in self._known and not self._differs(node):
            return self._known[node]
        if node.op == "placeholder":
            value = self._inputs[node] if node in self._inputs else default_input(node)
        else:
            args, kwargs = arguments(node, self.value)
            value = self.call(node, args, kwargs)
        self.values[node] = value
        return value

    def call(self, node: fx.Node, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        """Run one node on these arguments."""
        if self._is_replaced(node):
            return self._replaced[str(node.target)](*args, **kwargs)
        return call_node(self.network, node, args, kwargs)

    def _is_replaced(self, node: fx.Node) -> bool:
        return node.op == "call_module" and str(node.target) in self._replaced

    def _differs(self, node: fx.Node) -> bool:
        """Whether a node that is known runs again: it is replaced, or reads what ran again."""
        if self._is_replaced(node):
            return True
        return any(source in self.values for source in node.all_input_nodes)

    def _drop_what_nobody_reads_after(self, reader: fx.Node) -> None:
        for source in reader.all_input_nodes:
            self._readers_left[source] -= 1
            if not self._readers_left[source]:
                self.values.pop(source, None)


@torch.no_grad()
def walk(network: fx.GraphModule, inputs: Sequence[Tensor], visit: Visit) -> Any:
    """Run a network without gradients, show each value to ``visit``, and return the output."""
    return Walk(network, inputs).run(visit)


def default_input(node: fx.Node) -> Any:
    """What a placeholder holds where no input is given for it."""
    return node.args[0] if node.args else None


def arguments(
    node: fx.Node, value_of: Callable[[fx.Node], Any]
) -> tuple[tuple[Any, ...], dict[str, Any]]:
    """Positional and named arguments of a node, with values in place of nodes."""
    args: Any = fx.node.map_arg(node.args, value_of)
    kwargs: Any = fx.node.map_arg(node.kwargs, value_of)
    return args, kwargs


def call_node(
    network: fx.GraphModule, node: fx.Node, args: tuple[Any, ...], kwargs: dict[str, Any]
) -> Any:
    """Run one node on given arguments; placeholders have none to run."""
    if node.op == "call_function":
        assert callable(node.target)
        return node.target(*args, **kwargs)
    if node.op == "output":
        return args[0]
    target = str(node.target)
    if node.op == "call_module":
        return network.get_submodule(target)(*args, **kwargs)
    if node.op == "call_method":
        receiver, *others = args
        return getattr(receiver, target)(*others, **kwargs)
    assert node.op == "get_attr"
    return attrgetter(target)(network)
