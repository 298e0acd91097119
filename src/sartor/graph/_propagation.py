"""Which channels belong together: a label follows every channel through the network.

Each activation has a twin of the same shape that holds, for each element, the label of the channel
it carries. Operators that move elements (reshape, concatenate, pad, split, shuffle) are run on the
twin itself, so their effect is exact by construction; operators that combine tensors element by
element merge the labels they meet.

Constant whole numbers (a buffer of indices, a mask) have no twin: they say where elements go, and
operators that move elements are run with their true values.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np
import torch
from torch import Tensor, fx, nn

from sartor.graph._labels import NEUTRAL, Labels, along, distinct, distinct_pairs, spread
from sartor.graph._operators import Effect, function_effect, module_effect, operator_name
from sartor.graph._walk import Walk, arguments, call_node
from sartor.machine import IntArray

#: One call of a module: its node, and the labels that enter and leave it.
Call = tuple[fx.Node, IntArray, IntArray]


class LabelPropagation:
    """Runs a network once on examples and labels every channel of every activation.

    Attributes:
        values: What every node gave.
        twins: The labels of it; None for numbers and for constant whole numbers.
        calls: Calls of layers and norms, by the name of the module.
        unknown: Nodes that may multiply and are not counted.
        pinned: Nodes whose inputs are kept whole.
        shared: Layers and norms with the weights of an earlier one, with the name of that one.

    """

    def __init__(self, network: fx.GraphModule) -> None:
        self.network = network
        self.modules = dict(network.named_modules())
        self.labels = Labels()
        self.values: dict[fx.Node, Any] = {}
        self.twins: dict[fx.Node, Any] = {}
        self.calls: dict[str, list[Call]] = {}
        self.unknown: list[fx.Node] = []
        self.pinned: set[fx.Node] = set()
        self.shared: dict[str, str] = {}
        self._depends_on_inputs: set[fx.Node] = set()
        self._owners = _owners_of_weights(self.modules)

    @torch.no_grad()
    def run(self, *inputs: Tensor) -> LabelPropagation:
        """Label every node; ``inputs`` have a batch of one."""
        walk = Walk(self.network, inputs, keep=True)
        self.values = walk.values
        walk.run(self._label)
        return self

    def effect(self, node: fx.Node) -> Effect:
        """Effect of a node on channels."""
        if node.op == "call_module":
            return module_effect(self.modules[str(node.target)])
        effect = function_effect(operator_name(node))
        if effect is Effect.SIZE and isinstance(self.values[node], Tensor):
            source = self.values[node.all_input_nodes[0]]
            return Effect.MOVE if isinstance(source, Tensor) else effect  # such as ``x.T``
        return effect

    def moves(self, node: fx.Node) -> bool:
        """Whether a node was run on labels."""
        return self.effect(node) is Effect.MOVE and node not in self.pinned

    def _label(self, node: fx.Node, value: Any) -> None:
        effect = self.effect(node) if node.op.startswith("call") else Effect.UNKNOWN
        reads_inputs = not self._depends_on_inputs.isdisjoint(node.all_input_nodes)
        if node.op == "placeholder" or (reads_inputs and effect is not Effect.SIZE):
            self._depends_on_inputs.add(node)
        self.twins[node] = self._twin(node, value, effect)

    def _twin(self, node: fx.Node, value: Any, effect: Effect) -> Any:
        if node.op == "placeholder":
            return self._pinned_like(value, "network input")
        if node.op == "get_attr":
            return self._constant(value, f"combined with the parameter {node.target}")
        if node.op == "output":
            self._pin(self._carriers(node), "network output")
            return None
        if effect is Effect.SIZE:
            return self._pinned_like(value, f"part of what {node.all_input_nodes[0]} gives")
        if not any(tensors_within(self.twins[source]) for source in node.all_input_nodes):
            return self._constant(value, "combined with constants")
        handlers = {
            Effect.MIX: self._mix,
            Effect.SCALE: self._scale,
            Effect.POINTWISE: self._pointwise,
            Effect.SPATIAL: self._spatial,
            Effect.REDUCE: self._reduce,
            Effect.MOVE: self._move,
        }
        handler = handlers.get(effect)
        if handler is None or not tensors_within(value):
            return self._give_up(node, value)
        return handler(node, value)

    def _pinned_like(self, value: Any, reason: str) -> Any:
        if isinstance(value, Tensor):
            if value.numel() <= 1:
                return torch.full_like(value, NEUTRAL, dtype=torch.float64)
            label = int(self.labels.fresh_pinned(1, reason)[0])
            return torch.full((), label, dtype=torch.float64).expand(value.shape)
        if not tensors_within(value):
            return None
        if isinstance(value, dict):
            return {key: self._pinned_like(item, reason) for key, item in value.items()}
        return [self._pinned_like(item, reason) for item in value]

    def _constant(self, value: Any, reason: str) -> Any:
        """Twin of what does not depend on the inputs."""
        return self._pinned_like(value, reason) if carries_channels(value) else None

    def _carriers(self, node: fx.Node) -> list[Tensor]:
        """Twins of all tensors that a node reads."""
        found: list[Tensor] = []
        for source in node.all_input_nodes:
            found += tensors_within(self._carrier(source))
        return found

    def _carrier(self, source: fx.Node) -> Any:
        """Twin of what a node gave; constant whole numbers get one where they meet channels."""
        twin = self.twins[source]
        if twin is None:
            return self._pinned_like(self.values[source], f"combined with {source.name}")
        return twin

    def _pin(self, twins: Iterable[Tensor], reason: str) -> None:
        for twin in twins:
            self.labels.pin(distinct(twin), reason)

    def _give_up(self, node: fx.Node, value: Any, reason: str | None = None) -> Any:
        """Keep whole all that enters and leaves."""
        self.pinned.add(node)
        if self.effect(node) in (Effect.MIX, Effect.UNKNOWN):
            self.unknown.append(node)
        if reason is None:
            reason = f"meets {self._word_for(node)}, which sartor does not prune through"
        self._pin(self._carriers(node), reason)
        return self._pinned_like(value, reason)

    def _word_for(self, node: fx.Node) -> str:
        if node.op == "call_module":
            return type(self.modules[str(node.target)]).__name__
        return operator_name(node)

    def _mix(self, node: fx.Node, value: Tensor) -> Any:
        name = str(node.target)
        module = self.modules[name]
        dim = -1 if isinstance(module, nn.Linear) else 1
        twin = self._carriers(node)[0]
        incoming = along(twin, dim)
        if incoming is None:
            reason = f"enters {name} with channels spread over several axes"
            self._pin([twin], reason)
            incoming = self.labels.fresh_pinned(twin.shape[dim], reason)
        outgoing = self.labels.fresh(value.shape[dim])
        groups = getattr(module, "groups", 1)
        if groups > 1:
            self._tie_groups(incoming, outgoing, groups)
        self._tie_to_first_call(name, incoming, outgoing)
        self.calls.setdefault(name, []).append((node, incoming, outgoing))
        return spread(outgoing, value.shape, dim)

    def _tie_to_first_call(self, name: str, incoming: IntArray, outgoing: IntArray) -> None:
        """All calls with the same weights, of one or several modules, have one set of channels."""
        first = name
        for owner in self._owners.get(name, ()):
            if not _same_kind(self.modules[owner], self.modules[name]):
                reason = f"shares weights with {owner}"
                self.labels.pin(incoming, reason)
                self.labels.pin(outgoing, reason)
            elif owner in self.calls and first == name:
                first = owner
                self.shared[name] = owner
        for _, entering, leaving in self.calls.get(first, [])[:1]:
            self._merge_all(entering, incoming)
            self._merge_all(leaving, outgoing)

    def _tie_groups(self, incoming: IntArray, outgoing: IntArray, groups: int) -> None:
        """Depthwise: input and output channel are one unit.

        Grouped: every group loses the same channel positions.
        """
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
        name = str(node.target)
        module = self.modules[name]
        twin = self._carriers(node)[0]
        channels = along(twin, 1)
        if channels is None:
            reason = f"enters {name} with channels spread over several axes"
            return self._give_up(node, value, reason)
        if isinstance(module, nn.PReLU) and module.num_parameters == 1:
            return twin
        constant = channels == NEUTRAL
        if constant.any():
            fresh = self.labels.fresh_pinned(len(channels), "constant channel")
            channels = np.where(constant, fresh, channels)
        self._tie_to_first_call(name, channels, channels)
        self.calls.setdefault(name, []).append((node, channels, channels))
        return spread(channels, value.shape, 1)

    def _pointwise(self, node: fx.Node, value: Tensor) -> Any:
        first, *others = self._carriers(node)
        self._pin_broadcast(first, value.shape)
        result = first.expand(value.shape)
        for twin in others:
            self._pin_broadcast(twin, value.shape)
            other = twin.expand(value.shape)
            for a, b in distinct_pairs(result, other):
                if NEUTRAL not in (a, b):
                    self.labels.merge(a, b)
            result = torch.where(result == NEUTRAL, other, result)
        return result

    def _pin_broadcast(self, twin: Tensor, shape: torch.Size) -> None:
        """One value combined with several different channels is no channel of theirs.

        A spatial attention map is one.
        """
        if twin.numel() <= 1 or len(shape) <= 1:
            return
        aligned = (1,) * (len(shape) - twin.dim()) + tuple(twin.shape)
        meets_all_channels = aligned[1] == 1 and shape[1] > 1
        if meets_all_channels and aligned[0] == shape[0]:
            self.labels.pin(distinct(twin), "combined with every channel of another tensor")

    def _spatial(self, node: fx.Node, value: Any) -> Any:
        channels = along(self._carriers(node)[0], 1)
        if channels is None or not isinstance(value, Tensor) or value.shape[1] != len(channels):
            return self._give_up(node, value)
        return spread(channels, value.shape, 1)

    def _reduce(self, node: fx.Node, value: Tensor) -> Any:
        twin = self._carriers(node)[0]
        given = node.args[1] if len(node.args) > 1 else node.kwargs.get("dim")
        dims: Any = fx.node.map_arg(given, self.values.__getitem__)
        if dims is None:
            reason = f"summed over all channels by {operator_name(node)}"
            return self._give_up(node, value, reason)
        keepdim = value.dim() == twin.dim()
        low = twin.amin(dims, keepdim=keepdim)
        high = twin.amax(dims, keepdim=keepdim)
        if not torch.equal(low, high):
            reason = f"summed over several channels by {operator_name(node)}"
            return self._give_up(node, value, reason)
        return high

    def _move(self, node: fx.Node, value: Any) -> Any:
        """Run the operator itself on the labels."""
        moved = moved_by(node)
        operands: dict[fx.Node, Any] = {}
        for source in node.all_input_nodes:
            whole_numbers = not carries_channels(self.values[source])
            if source in moved:
                operands[source] = self._carrier(source)
            elif not whole_numbers:
                operands[source] = self.twins[source]
            elif source in self._depends_on_inputs and tensors_within(self.values[source]):
                return self._give_up(node, value, "picked by positions that are computed")
            else:
                operands[source] = self.values[source]
        args, kwargs = arguments(node, lambda source: operands[source])
        try:
            twin = call_node(self.network, node, args, kwargs)
        except Exception:  # some operators take no labels, which are float64
            return self._give_up(node, value)
        return self._label_padding(twin) if isinstance(twin, Tensor) else twin

    def _label_padding(self, twin: Tensor) -> Tensor:
        """Channels made of padding get labels of their own.

        What is added to them later decides whether they stay.
        """
        channels = along(twin, 1)
        if channels is None:
            return twin
        padding = channels == NEUTRAL
        if padding.all() or not padding.any():
            return twin
        fresh = self.labels.fresh(len(channels))
        return spread(np.where(padding, fresh, channels), twin.shape, 1)


def moved_by(node: fx.Node) -> set[fx.Node]:
    """What an operator that moves elements moves: all that its first argument holds.

    The others say where to.
    """
    first = node.args[0] if node.args else next(iter(node.kwargs.values()), None)
    moved: set[fx.Node] = set()
    fx.node.map_arg(first, moved.add)
    return moved


def tensors_within(value: Any) -> list[Tensor]:
    """All tensors of a value or twin, however it is nested."""
    if isinstance(value, Tensor):
        return [value]
    if isinstance(value, dict):
        value = list(value.values())
    found: list[Tensor] = []
    if isinstance(value, (tuple, list)):
        for item in value:
            found += tensors_within(item)
    return found


def carries_channels(value: Any) -> bool:
    """Whether a value holds tensors of other than whole numbers or flags."""
    return any(
        tensor.is_floating_point() or tensor.is_complex() for tensor in tensors_within(value)
    )


def _owners_of_weights(modules: Mapping[str, nn.Module]) -> dict[str, list[str]]:
    """The modules that have the weight of a module too, for those whose weight is shared."""
    holders: dict[int, list[str]] = {}
    for name, module in modules.items():
        for parameter in module.parameters(recurse=False):
            holders.setdefault(id(parameter), []).append(name)
    owners: dict[str, list[str]] = {}
    for name, module in modules.items():
        weight = getattr(module, "weight", None)
        others = [other for other in holders.get(id(weight), ()) if other != name]
        if others:
            owners[name] = others
    return owners


def _same_kind(a: nn.Module, b: nn.Module) -> bool:
    return type(a) is type(b) and getattr(a, "groups", 1) == getattr(b, "groups", 1)
