"""Which channels belong together: a label follows every channel through the network.

Each activation has a twin of the same shape that holds, for each element, the label of the channel
it carries. Operators that move elements (reshape, concatenate, pad, split, shuffle) are run on the
twin itself, so their effect is exact by construction; operators that combine tensors element by
element merge the labels they meet.

Constant whole numbers (a buffer of indices, a mask) have no twin: they say where elements go, and
operators that move elements are run with their true values.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import Tensor, fx, nn

from sartor.graph._labels import NEUTRAL, Labels, along, distinct, distinct_pairs, spread
from sartor.graph._operators import Effect, function_effect, module_effect, operator_name
from sartor.graph._sharing import owners_of_weights, same_kind
from sartor.graph._values import carries_channels, moved_by, tensors_within
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
        self._owners = owners_of_weights(self.modules)

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
            module = self._module(node)
            return module_effect(module)
        name = operator_name(node)
        effect = function_effect(name)
        if effect is not Effect.SIZE:
            return effect
        is_attribute = isinstance(self.values[node], Tensor)  # such as ``x.T``
        source = node.all_input_nodes[0]
        of_tensor = isinstance(self.values[source], Tensor)
        return Effect.MOVE if is_attribute and of_tensor else effect

    def moves(self, node: fx.Node) -> bool:
        """Whether a node was run on labels."""
        return self.effect(node) is Effect.MOVE and node not in self.pinned

    def _module(self, node: fx.Node) -> nn.Module:
        return self.modules[str(node.target)]

    def _label(self, node: fx.Node, value: Any) -> None:
        effect = Effect.UNKNOWN
        if node.op.startswith("call"):
            effect = self.effect(node)
        if self._reads_inputs(node) and effect is not Effect.SIZE:
            self._depends_on_inputs.add(node)
        self.twins[node] = self._twin(node, value, effect)

    def _reads_inputs(self, node: fx.Node) -> bool:
        if node.op == "placeholder":
            return True
        sources = node.all_input_nodes
        return not self._depends_on_inputs.isdisjoint(sources)

    def _twin(self, node: fx.Node, value: Any, effect: Effect) -> Any:
        if node.op == "placeholder":
            return self._pinned_like(value, "network input")
        if node.op == "get_attr":
            return self._constant(value, f"combined with the parameter {node.target}")
        if node.op == "output":
            self._pin_all(self._carriers(node), "network output")
            return None
        if effect is Effect.SIZE:
            source = node.all_input_nodes[0]
            return self._pinned_like(value, f"part of what {source} gives")
        if not self._reads_twins(node):
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

    def _reads_twins(self, node: fx.Node) -> bool:
        for source in node.all_input_nodes:
            twin = self.twins[source]
            if tensors_within(twin):
                return True
        return False

    def _pinned_like(self, value: Any, reason: str) -> Any:
        """Twin of one label that is never removed; None of what holds no tensors."""
        if isinstance(value, Tensor):
            return self._pinned_tensor(value, reason)
        if not tensors_within(value):
            return None
        if isinstance(value, dict):
            value = list(value.values())
        return [self._pinned_like(item, reason) for item in value]

    def _pinned_tensor(self, value: Tensor, reason: str) -> Tensor:
        label = NEUTRAL
        if value.numel() > 1:
            (fresh,) = self.labels.fresh_pinned(1, reason)
            label = int(fresh)
        one = torch.full((), label, dtype=torch.float64)
        return one.expand(value.shape)

    def _constant(self, value: Any, reason: str) -> Any:
        """Twin of what does not depend on the inputs."""
        if not carries_channels(value):
            return None
        return self._pinned_like(value, reason)

    def _carriers(self, node: fx.Node) -> list[Tensor]:
        """Twins of all tensors that a node reads."""
        found: list[Tensor] = []
        for source in node.all_input_nodes:
            twin = self._carrier(source)
            found += tensors_within(twin)
        return found

    def _carrier(self, source: fx.Node) -> Any:
        """Twin of what a node gave; constant whole numbers get one where they meet channels."""
        twin = self.twins[source]
        if twin is not None:
            return twin
        value = self.values[source]
        return self._pinned_like(value, f"combined with {source.name}")

    def _pin_all(self, twins: list[Tensor], reason: str) -> None:
        for twin in twins:
            labels = distinct(twin)
            self.labels.pin(labels, reason)

    def _give_up(self, node: fx.Node, value: Any, reason: str = "") -> Any:
        """Keep whole all that enters and leaves."""
        self.pinned.add(node)
        effect = self.effect(node)
        if effect in (Effect.MIX, Effect.UNKNOWN):
            self.unknown.append(node)
        if not reason:
            name = self._word_for(node)
            reason = f"meets {name}, which sartor does not prune through"
        carriers = self._carriers(node)
        self._pin_all(carriers, reason)
        return self._pinned_like(value, reason)

    def _word_for(self, node: fx.Node) -> str:
        if node.op == "call_module":
            module = self._module(node)
            return type(module).__name__
        return operator_name(node)

    def _mix(self, node: fx.Node, value: Tensor) -> Any:
        name = str(node.target)
        module = self.modules[name]
        dim = -1 if isinstance(module, nn.Linear) else 1
        twin = self._carriers(node)[0]
        incoming = along(twin, dim)
        if incoming is None:
            reason = f"enters {name} with channels spread over several axes"
            self._pin_all([twin], reason)
            width = twin.shape[dim]
            incoming = self.labels.fresh_pinned(width, reason)
        outgoing = self.labels.fresh(value.shape[dim])
        groups = getattr(module, "groups", 1)
        if groups > 1:
            self._tie_groups(incoming, outgoing, groups)
        self._add_call(node, incoming, outgoing)
        return spread(outgoing, value.shape, dim)

    def _add_call(self, node: fx.Node, incoming: IntArray, outgoing: IntArray) -> None:
        """All calls with the same weights, of one or several modules, have one set of channels."""
        name = str(node.target)
        first = self._first_with_weights_of(name, incoming, outgoing)
        if first in self.calls:
            _, entering, leaving = self.calls[first][0]
            self._merge_all(entering, incoming)
            self._merge_all(leaving, outgoing)
        calls = self.calls.setdefault(name, [])
        calls.append((node, incoming, outgoing))

    def _first_with_weights_of(self, name: str, incoming: IntArray, outgoing: IntArray) -> str:
        """The earliest module that was called with the weights of this one, or itself.

        Channels are kept whole where a module of another kind has them.
        """
        first = name
        for owner in self._owners.get(name, ()):
            if not same_kind(self.modules[owner], self.modules[name]):
                reason = f"shares weights with {owner}"
                self.labels.pin(incoming, reason)
                self.labels.pin(outgoing, reason)
            elif owner in self.calls and first == name:
                first = owner
                self.shared[name] = owner
        return first

    def _tie_groups(self, incoming: IntArray, outgoing: IntArray, groups: int) -> None:
        """Depthwise: input and output channel are one unit.

        Grouped: every group loses the same channel positions.
        """
        if groups == len(incoming):
            multiplier = len(outgoing) // groups
            repeated = np.repeat(incoming, multiplier)
            self._merge_all(repeated, outgoing)
            return
        for labels in (incoming, outgoing):
            first, *others = labels.reshape(groups, -1)
            for row in others:
                self._merge_all(first, row)

    def _merge_all(self, a: IntArray, b: IntArray) -> None:
        for left, right in zip(a.tolist(), b.tolist(), strict=True):
            if NEUTRAL in (left, right):
                # A constant channel has a weight of its own: keep it.
                both = np.array([left, right])
                self.labels.pin(both, "shares weights with a constant channel")
            else:
                self.labels.merge(left, right)

    def _scale(self, node: fx.Node, value: Tensor) -> Any:
        module = self._module(node)
        twin = self._carriers(node)[0]
        channels = along(twin, 1)
        if channels is None:
            reason = f"enters {node.target} with channels spread over several axes"
            return self._give_up(node, value, reason)
        if isinstance(module, nn.PReLU) and module.num_parameters == 1:
            return twin
        constant = channels == NEUTRAL
        if constant.any():
            fresh = self.labels.fresh_pinned(len(channels), "constant channel")
            channels = np.where(constant, fresh, channels)
        self._add_call(node, channels, channels)
        return spread(channels, value.shape, 1)

    def _pointwise(self, node: fx.Node, value: Tensor) -> Any:
        shape = value.shape
        first, *others = self._carriers(node)
        self._pin_broadcast(first, shape)
        result = first.expand(shape)
        for twin in others:
            self._pin_broadcast(twin, shape)
            other = twin.expand(shape)
            self._merge_where_they_meet(result, other)
            result = torch.where(result == NEUTRAL, other, result)
        return result

    def _merge_where_they_meet(self, a: Tensor, b: Tensor) -> None:
        for left, right in distinct_pairs(a, b):
            if NEUTRAL not in (left, right):
                self.labels.merge(left, right)

    def _pin_broadcast(self, twin: Tensor, shape: torch.Size) -> None:
        """One value combined with several different channels is no channel of theirs.

        A spatial attention map is one.
        """
        if twin.numel() <= 1 or len(shape) <= 1:
            return
        missing = len(shape) - twin.dim()
        batch, width, *_ = (1,) * missing + twin.shape
        meets_all_channels = width == 1 < shape[1]
        if meets_all_channels and batch == shape[0]:
            reason = "combined with every channel of another tensor"
            self._pin_all([twin], reason)

    def _spatial(self, node: fx.Node, value: Any) -> Any:
        twin = self._carriers(node)[0]
        channels = along(twin, 1)
        if channels is None or not isinstance(value, Tensor):
            return self._give_up(node, value)
        if value.shape[1] != len(channels):
            return self._give_up(node, value)
        return spread(channels, value.shape, 1)

    def _reduce(self, node: fx.Node, value: Tensor) -> Any:
        name = operator_name(node)
        twin = self._carriers(node)[0]
        given = node.kwargs.get("dim")
        if len(node.args) > 1:
            given = node.args[1]
        if given is None:
            return self._give_up(node, value, f"summed over all channels by {name}")
        dims: Any = fx.node.map_arg(given, self.values.__getitem__)
        keepdim = value.dim() == twin.dim()
        low = twin.amin(dims, keepdim=keepdim)
        high = twin.amax(dims, keepdim=keepdim)
        if not torch.equal(low, high):
            return self._give_up(node, value, f"summed over several channels by {name}")
        return high

    def _move(self, node: fx.Node, value: Any) -> Any:
        """Run the operator itself on the labels."""
        moved = moved_by(node)
        operands: dict[fx.Node, Any] = {}
        for source in node.all_input_nodes:
            given = self.values[source]
            if source in moved:
                operands[source] = self._carrier(source)
            elif carries_channels(given):
                operands[source] = self.twins[source]
            elif tensors_within(given) and source in self._depends_on_inputs:
                return self._give_up(node, value, "picked by positions that are computed")
            else:
                operands[source] = given
        args, kwargs = arguments(node, operands.__getitem__)
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
        labelled = np.where(padding, fresh, channels)
        return spread(labelled, twin.shape, 1)
