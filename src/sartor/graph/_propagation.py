"""Which channels belong together: a label follows every channel through the network.

Each activation has a twin of the same shape that holds, for each element, the label of the channel
it carries. Operators that move elements (reshape, concatenate, pad, split, shuffle) are run on the
twin itself, so their effect is exact by construction; operators that combine tensors element by
element merge the labels they meet.

Constant whole numbers (a buffer of indices, a mask) have no twin: they say where elements go, and
operators that move elements are run with their true values.
"""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np
import torch
from torch import Tensor, fx, nn

from sartor.graph._calls import Call, Calls
from sartor.graph._labels import NEUTRAL, Labels, along, spread
from sartor.graph._operators import Effect, function_effect, module_effect, operator_name
from sartor.graph._twins import combine, label_padding, pin_twins, pinned_twin
from sartor.graph._values import carries_channels, moved_by, tensors_within
from sartor.graph._walk import Walk, arguments, call_node


class LabelPropagation:
    """Runs a network once on examples and labels every channel of every activation.

    Attributes:
        values: What every node gave.
        twins: The labels of it; None for numbers and for constant whole numbers.
        unknown: Nodes that may multiply and are not counted.
        pinned: Nodes whose inputs are kept whole.
    """

    def __init__(self, network: fx.GraphModule) -> None:
        self.network = network
        self.modules = dict(network.named_modules())
        self.labels = Labels()

        self.values: dict[fx.Node, Any] = {}
        self.twins: dict[fx.Node, Any] = {}
        self.unknown: list[fx.Node] = []
        self.pinned: set[fx.Node] = set()

        self._calls = Calls(self.modules, self.labels)
        self._depends_on_inputs: set[fx.Node] = set()

    @torch.no_grad()
    def run(self, *inputs: Tensor) -> LabelPropagation:
        """Label every node; ``inputs`` have a batch of one."""
        walk = Walk(self.network, inputs, keep=True)
        self.values = walk.values
        walk.run(self._label)
        return self

    @property
    def calls(self) -> dict[str, list[Call]]:
        """Calls of layers and norms, by the name of the module."""
        return self._calls.by_module

    @property
    def shared(self) -> dict[str, str]:
        """Layers and norms with the weights of an earlier one, with the name of that one."""
        return self._calls.shared

    def effect(self, node: fx.Node) -> Effect:
        """Effect of a node on channels."""
        if node.op == "call_module":
            module = self._module(node)
            return module_effect(module)

        if dataclasses.is_dataclass(node.target):
            # Built of tensors, as a tuple is, and of twins alike.
            return Effect.MOVE

        name = operator_name(node)
        effect = function_effect(name)
        if effect is not Effect.SIZE:
            return effect

        # An attribute that is a tensor, such as ``x.T``, moves elements.
        gives_tensor = isinstance(self.values[node], Tensor)
        source = node.all_input_nodes[0]
        of_tensor = isinstance(self.values[source], Tensor)
        if gives_tensor and of_tensor:
            return Effect.MOVE
        return effect

    def moves(self, node: fx.Node) -> bool:
        """Whether a node was run on labels."""
        return self.effect(node) is Effect.MOVE and node not in self.pinned

    def _module(self, node: fx.Node) -> nn.Module:
        return self.modules[str(node.target)]

    def _label(self, node: fx.Node, value: Any) -> None:
        effect = Effect.UNKNOWN
        if node.op.startswith("call"):
            effect = self.effect(node)

        # A size is the same for all inputs of a shape, so what is made of it counts as constant.
        reads_inputs = self._reads_inputs(node)
        if reads_inputs and effect is not Effect.SIZE:
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
            carriers = self._carriers(node)
            pin_twins(self.labels, carriers, "network output")
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
        twins = [self.twins[source] for source in node.all_input_nodes]
        return bool(tensors_within(twins))

    def _pinned_like(self, value: Any, reason: str) -> Any:
        return pinned_twin(self.labels, value, reason)

    def _constant(self, value: Any, reason: str) -> Any:
        """Twin of what does not depend on the inputs."""
        if not carries_channels(value):
            return None
        return self._pinned_like(value, reason)

    def _carriers(self, node: fx.Node) -> list[Tensor]:
        """Twins of all tensors that a node reads."""
        twins = [self._carrier(source) for source in node.all_input_nodes]
        return tensors_within(twins)

    def _carrier(self, source: fx.Node) -> Any:
        """Twin of what a node gave; constant whole numbers get one where they meet channels."""
        twin = self.twins[source]
        if twin is not None:
            return twin

        value = self.values[source]
        return self._pinned_like(value, f"combined with {source.name}")

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
        pin_twins(self.labels, carriers, reason)
        return self._pinned_like(value, reason)

    def _word_for(self, node: fx.Node) -> str:
        if node.op == "call_module":
            module = self._module(node)
            return type(module).__name__
        return operator_name(node)

    def _mix(self, node: fx.Node, value: Tensor) -> Any:
        module = self._module(node)
        # Linear layers have their features last, convolutions their channels second.
        dim = -1 if isinstance(module, nn.Linear) else 1

        twin = self._carriers(node)[0]
        incoming = along(twin, dim)
        if incoming is None:
            reason = f"enters {node.target} with channels spread over several axes"
            pin_twins(self.labels, [twin], reason)
            width = twin.shape[dim]
            incoming = self.labels.fresh_pinned(width, reason)

        width = value.shape[dim]
        outgoing = self.labels.fresh(width)
        groups = getattr(module, "groups", 1)
        if groups > 1:
            self._calls.tie_groups(incoming, outgoing, groups)

        self._calls.add(node, incoming, outgoing)
        return spread(outgoing, value.shape, dim)

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

        self._calls.add(node, channels, channels)
        return spread(channels, value.shape, 1)

    def _pointwise(self, node: fx.Node, value: Tensor) -> Any:
        carriers = self._carriers(node)
        return combine(self.labels, carriers, value.shape)

    def _spatial(self, node: fx.Node, value: Any) -> Any:
        twin = self._carriers(node)[0]
        channels = along(twin, 1)
        if channels is None or not isinstance(value, Tensor):
            return self._give_up(node, value)

        width = value.shape[1]
        if width != len(channels):
            return self._give_up(node, value)
        return spread(channels, value.shape, 1)

    def _reduce(self, node: fx.Node, value: Tensor) -> Any:
        name = operator_name(node)
        twin = self._carriers(node)[0]

        given = node.args[1] if len(node.args) > 1 else node.kwargs.get("dim")
        if given is None:
            reason = f"summed over all channels by {name}"
            return self._give_up(node, value, reason)

        dims: Any = fx.node.map_arg(given, self.values.__getitem__)
        keepdim = value.dim() == twin.dim()

        # Labels that are equal along the axes have one channel to give to the result.
        low = twin.amin(dims, keepdim=keepdim)
        high = twin.amax(dims, keepdim=keepdim)
        if not torch.equal(low, high):
            reason = f"summed over several channels by {name}"
            return self._give_up(node, value, reason)
        return high

    def _move(self, node: fx.Node, value: Any) -> Any:
        """Run the operator itself on the labels."""
        operands = self._operands(node)
        if operands is None:
            return self._give_up(node, value, "picked by positions that are computed")

        args, kwargs = arguments(node, operands.__getitem__)
        try:
            twin = call_node(self.network, node, args, kwargs)
        except Exception:  # some operators take no labels, which are float64
            return self._give_up(node, value)

        if isinstance(twin, Tensor):
            return label_padding(self.labels, twin)
        return twin

    def _operands(self, node: fx.Node) -> dict[fx.Node, Any] | None:
        """What an operator that moves elements gets; None where inputs decide where to."""
        moved = moved_by(node)
        operands: dict[fx.Node, Any] = {}

        for source in node.all_input_nodes:
            given = self.values[source]
            is_computed = source in self._depends_on_inputs
            if source in moved:
                operands[source] = self._carrier(source)
            elif carries_channels(given):
                operands[source] = self.twins[source]
            elif is_computed and tensors_within(given):
                return None
            else:
                operands[source] = given

        return operands
