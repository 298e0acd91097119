"""Which channels belong together: a label follows every channel through the network.

Each activation has a twin of the same shape that holds, for each element, the label of the channel it carries. Operators
that move elements (reshape, concatenate, pad, split, shuffle) are run on the twin itself, so their effect is exact by
construction; operators that combine tensors element by element merge the labels they meet.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import Tensor, fx, nn

from sartor.graph._labels import NEUTRAL, Labels, along, distinct, distinct_pairs, spread
from sartor.graph._operators import Effect, function_effect, module_effect, operator_name
from sartor.machine import IntArray


class LabelPropagation:
    """Runs a network once on examples and labels every channel of every activation."""

    def __init__(self, network: fx.GraphModule) -> None:
        self.network = network
        self.modules = dict(network.named_modules())
        self.labels = Labels()
        self.values: dict[fx.Node, Any] = {}
        self.twins: dict[fx.Node, Any] = {}
        self.calls: dict[str, list[tuple[fx.Node, IntArray, IntArray]]] = {}
        self.unknown: list[fx.Node] = []
        self._runner = fx.Interpreter(network)

    @torch.no_grad()
    def run(self, *inputs: Tensor) -> LabelPropagation:
        """Label every node; ``inputs`` have a batch of one."""
        feed = iter(inputs)
        for node in self.network.graph.nodes:
            if node.op == "placeholder":
                self.values[node] = next(feed, node.args[0] if node.args else None)
                self.twins[node] = self._pinned_like(self.values[node], "network input")
                continue
            args, kwargs = (
                self._lookup(self.values, node.args),
                self._lookup(self.values, node.kwargs),
            )
            self.values[node] = value = getattr(self._runner, node.op)(node.target, args, kwargs)
            self.twins[node] = self._twin(node, value)
        return self

    def effect(self, node: fx.Node) -> Effect:
        """Effect of a node on channels."""
        if node.op == "call_module":
            return module_effect(self.modules[str(node.target)])
        return function_effect(operator_name(node))

    @staticmethod
    def _lookup(table: dict[fx.Node, Any], args: Any) -> Any:
        return fx.node.map_arg(args, lambda node: table[node])

    def _pinned_like(self, value: Any, reason: str) -> Any:
        if isinstance(value, Tensor):
            if value.numel() <= 1:
                return torch.zeros_like(value, dtype=torch.float64)
            label = int(self.labels.fresh_pinned(1, reason)[0])
            return torch.full((), label, dtype=torch.float64).expand(value.shape)
        if isinstance(value, (tuple, list)):
            return type(value)(self._pinned_like(item, reason) for item in value)
        return None

    def _tensor_inputs(self, node: fx.Node) -> list[Tensor]:
        found: list[Tensor] = []

        def collect(twin: Any) -> None:
            if isinstance(twin, Tensor):
                found.append(twin)
            elif isinstance(twin, (tuple, list)):
                for item in twin:
                    collect(item)

        for source in node.all_input_nodes:
            collect(self.twins[source])
        return found

    def _twin(self, node: fx.Node, value: Any) -> Any:
        if node.op == "get_attr":
            return self._pinned_like(value, f"combined with the parameter {node.target}")
        if node.op == "output":
            self._pin(self._tensor_inputs(node), "network output")
            return None
        effect = self.effect(node)
        if effect is Effect.MOVE and isinstance(
            self.twins.get(node.all_input_nodes[0]), (Tensor, tuple, list)
        ):
            return self._move(node)
        if effect is Effect.MOVE or effect is Effect.SIZE or not self._tensor_inputs(node):
            return None
        handler = {
            Effect.MIX: self._mix,
            Effect.SCALE: self._scale,
            Effect.POINTWISE: self._pointwise,
            Effect.SPATIAL: self._spatial,
            Effect.REDUCE: self._reduce,
        }.get(effect, self._give_up)
        return handler(node, value)

    def _pin(self, twins: list[Tensor], reason: str) -> None:
        for twin in twins:
            self.labels.pin(distinct(twin), reason)

    def _give_up(self, node: fx.Node, value: Any, reason: str | None = None) -> Any:
        if reason is None:
            self.unknown.append(node)
            what = (
                type(self.modules[str(node.target)]).__name__
                if node.op == "call_module"
                else operator_name(node)
            )
            reason = f"meets {what}, which sartor does not prune through"
        self._pin(self._tensor_inputs(node), reason)
        return self._pinned_like(value, reason)

    def _mix(self, node: fx.Node, value: Tensor) -> Any:
        module = self.modules[str(node.target)]
        dim = -1 if isinstance(module, nn.Linear) else 1
        incoming = along(self._tensor_inputs(node)[0], dim)
        if incoming is None:
            return self._give_up(
                node, value, f"enters {node.target} with channels spread over several axes"
            )
        groups = getattr(module, "groups", 1)
        outgoing = self.labels.fresh(value.shape[dim])
        if groups > 1:
            self._tie_groups(incoming, outgoing, groups)
        calls = self.calls.setdefault(str(node.target), [])
        if calls:  # a module called twice has one set of weights
            self._merge_all(calls[0][1], incoming)
            self._merge_all(calls[0][2], outgoing)
        calls.append((node, incoming, outgoing))
        return spread(outgoing, value.shape, dim)

    def _tie_groups(self, incoming: IntArray, outgoing: IntArray, groups: int) -> None:
        """Depthwise: input and output channel are one unit. Grouped: every group loses the same channel positions."""
        if groups == len(incoming):
            self._merge_all(np.repeat(incoming, len(outgoing) // groups), outgoing)
            return
        for labels in (incoming.reshape(groups, -1), outgoing.reshape(groups, -1)):
            for row in labels[1:]:
                self._merge_all(labels[0], row)

    def _merge_all(self, a: IntArray, b: IntArray) -> None:
        for left, right in zip(a.tolist(), b.tolist(), strict=True):
            if NEUTRAL in (left, right):  # a constant channel has a weight of its own: keep it
                self.labels.pin(np.array([left, right]), "shares weights with a constant channel")
            else:
                self.labels.merge(left, right)

    def _scale(self, node: fx.Node, value: Tensor) -> Any:
        module = self.modules[str(node.target)]
        twin = self._tensor_inputs(node)[0]
        channels = along(twin, 1)
        if channels is None:
            return self._give_up(
                node, value, f"enters {node.target} with channels spread over several axes"
            )
        if isinstance(module, nn.PReLU) and module.num_parameters == 1:
            return twin
        if (channels == NEUTRAL).any():
            channels = np.where(
                channels == NEUTRAL,
                self.labels.fresh_pinned(len(channels), "constant channel"),
                channels,
            )
        calls = self.calls.setdefault(str(node.target), [])
        if calls:
            self._merge_all(calls[0][1], channels)
        calls.append((node, channels, channels))
        return spread(channels, value.shape, 1)

    def _pointwise(self, node: fx.Node, value: Any) -> Any:
        shape = torch.Size(value.shape)
        result: Tensor | None = None
        for twin in self._tensor_inputs(node):
            self._pin_broadcast(twin, shape)
            other = twin.expand(shape)
            if result is None:
                result = other
                continue
            for a, b in distinct_pairs(result, other):
                if NEUTRAL not in (a, b):
                    self.labels.merge(a, b)
            result = torch.where(result == NEUTRAL, other, result)
        return result

    def _pin_broadcast(self, twin: Tensor, shape: torch.Size) -> None:
        """One value combined with several different channels (a spatial attention map) is no channel of theirs."""
        aligned = (1,) * (len(shape) - twin.dim()) + tuple(twin.shape)
        if (
            twin.numel() > 1
            and len(shape) > 1
            and aligned[1] == 1
            and shape[1] > 1
            and aligned[0] == shape[0]
        ):
            self.labels.pin(distinct(twin), "combined with every channel of another tensor")

    def _spatial(self, node: fx.Node, value: Any) -> Any:
        channels = along(self._tensor_inputs(node)[0], 1)
        if channels is None or not isinstance(value, Tensor) or value.shape[1] != len(channels):
            return self._give_up(node, value)
        return spread(channels, value.shape, 1)

    def _reduce(self, node: fx.Node, value: Any) -> Any:
        twin = self._tensor_inputs(node)[0]
        dims = node.kwargs.get("dim", node.args[1] if len(node.args) > 1 else None)
        dims = self._lookup(self.values, dims)
        if dims is None:
            return self._give_up(node, value, f"summed over all channels by {operator_name(node)}")
        low = twin.amin(dims, keepdim=value.dim() == twin.dim())
        high = twin.amax(dims, keepdim=value.dim() == twin.dim())
        if not torch.equal(low, high):
            return self._give_up(
                node, value, f"summed over several channels by {operator_name(node)}"
            )
        return high

    def _move(self, node: fx.Node) -> Any:
        """Run the operator itself on the labels."""
        arguments = {
            source: self.twins[source] if self.twins[source] is not None else self.values[source]
            for source in node.all_input_nodes
        }
        args, kwargs = self._lookup(arguments, node.args), self._lookup(arguments, node.kwargs)
        twin = getattr(self._runner, node.op)(node.target, args, kwargs)
        return self._label_padding(twin) if isinstance(twin, Tensor) else twin

    def _label_padding(self, twin: Tensor) -> Tensor:
        """Channels made of padding get labels of their own: what is added to them later decides whether they stay."""
        channels = along(twin, 1)
        if channels is None or (channels != NEUTRAL).all() or (channels == NEUTRAL).all():
            return twin
        channels = np.where(channels == NEUTRAL, self.labels.fresh(len(channels)), channels)
        return spread(channels, twin.shape, 1)
