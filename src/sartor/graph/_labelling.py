"""What is known of the channels of a network while they are followed through it."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, fx, nn

from sartor.graph._calls import Calls
from sartor.graph._labels import NEUTRAL, Labels, is_neutral
from sartor.graph._layers import LAYERS
from sartor.graph._operators import Effect, function_effect, module_effect, operator_name
from sartor.graph._twins import pin_twins, pinned_twin
from sartor.graph._values import carries_channels, tensors_within
from sartor.machine import IntArray


@dataclass(frozen=True, eq=False)
class ProductCall:
    """A product of two activations, or what else is counted and has no weights.

    Attributes:
        node: Where it stands.
        channels: Label of each channel that it is linear in; one `NEUTRAL` where it has none.
        macs: Multiply-accumulates for each of them, for a batch of one.
    """

    node: fx.Node
    channels: IntArray
    macs: float


class Labelling:
    """Labels of all nodes so far; what handles an operator asks and tells it.

    Attributes:
        network: The network that is followed.
        modules: All its modules, by name.
        labels: The labels, and which of them are one unit.
        calls: Calls of layers and norms.
        values: What every node gave.
        twins: The labels of it; None for numbers and for constant whole numbers.
        unknown: Nodes that may multiply and are not counted.
        pinned: Nodes whose inputs are kept whole.
        products: What is counted beside the layers.
        consumed: Labels that a product sums over.
        heads: Labels of the heads of products, where whole heads are followed.
        adopted: What reads a tensor without channels where it has as many places as there are
            channels: the labels that the tensor has there.
    """

    def __init__(self, network: fx.GraphModule) -> None:
        self.network = network
        self.modules = dict(network.named_modules())
        self.labels = Labels()
        self.calls = Calls(self.modules, self.labels)

        self.values: dict[fx.Node, Any] = {}
        self.twins: dict[fx.Node, Any] = {}
        self.unknown: list[fx.Node] = []
        self.pinned: set[fx.Node] = set()
        self.products: list[ProductCall] = []
        self.consumed: list[IntArray] = []
        self.heads: dict[fx.Node, IntArray] = {}
        self.adopted: dict[tuple[fx.Node, fx.Node], Tensor] = {}
        self.depends_on_inputs: set[fx.Node] = set()

    def effect(self, node: fx.Node) -> Effect:
        """Effect of a node on channels."""
        if node.op == "call_module":
            module = self.module(node)
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

    def module(self, node: fx.Node) -> nn.Module:
        """The module that a node calls."""
        return self.modules[str(node.target)]

    def moves(self, node: fx.Node) -> bool:
        """Whether a node was run on labels."""
        return self.effect(node) is Effect.MOVE and node not in self.pinned

    def reads_twins(self, node: fx.Node) -> bool:
        """Whether anything that a node reads has labels."""
        twins = [self.twins[source] for source in node.all_input_nodes]
        return bool(tensors_within(twins))

    def reads_channels(self, node: fx.Node) -> bool:
        """Whether anything that a node reads carries channels."""
        return any(self.has_channels(self.twins[source]) for source in node.all_input_nodes)

    def is_constant(self, node: fx.Node) -> bool:
        """Whether a node is the same for all inputs of a shape, and carries no channels."""
        return node not in self.depends_on_inputs and not self.has_channels(self.twins[node])

    def operand(self, node: fx.Node, source: fx.Node) -> Any:
        """Twin of what a node gets of another."""
        return self.adopted.get((node, source), self.twins[source])

    def pinned_like(self, value: Any, reason: str) -> Any:
        """Twin of what is never removed."""
        return pinned_twin(self.labels, value, reason)

    def neutral_like(self, value: Any) -> Any:
        """Twin of what carries no channels; None of numbers and whole numbers."""
        if not carries_channels(value):
            return None
        if isinstance(value, Tensor):
            return torch.full((), NEUTRAL, dtype=torch.float64).expand(value.shape)
        return [self.neutral_like(item) for item in value]

    def carriers(self, node: fx.Node) -> list[Tensor]:
        """Twins of all tensors that a node reads."""
        twins = [self.carrier(source) for source in node.all_input_nodes]
        return tensors_within(twins)

    def carrier(self, source: fx.Node) -> Any:
        """Twin of what a node gave; constant whole numbers get one where they meet channels."""
        twin = self.twins[source]
        if twin is not None:
            return twin

        value = self.values[source]
        return self.pinned_like(value, f"combined with {source.name}")

    def adopt(self, node: fx.Node, source: fx.Node, twin: Tensor) -> None:
        """Let a tensor without channels have labels where a node reads it."""
        self.adopted[node, source] = twin

    def give_up(self, node: fx.Node, value: Any, reason: str = "") -> Any:
        """Keep whole all that enters and leaves."""
        self.pinned.add(node)
        effect = self.effect(node)
        if effect in (Effect.MIX, Effect.PRODUCT, Effect.ATTEND, Effect.UNKNOWN):
            self.unknown.append(node)

        if not reason:
            name = self.word_for(node)
            reason = f"meets {name}, which sartor does not prune through"

        carriers = self.carriers(node)
        pin_twins(self.labels, carriers, reason)
        return self.pinned_like(value, reason)

    def word_for(self, node: fx.Node) -> str:
        """What to call the operator of a node."""
        if node.op == "call_module":
            module = self.module(node)
            return type(module).__name__
        return operator_name(node)

    def is_layer(self, node: fx.Node) -> bool:
        """Whether a node calls a convolution or a linear layer."""
        return node.op == "call_module" and isinstance(self.module(node), LAYERS)

    def has_channels(self, twin: Any) -> bool:
        """Whether a twin holds any label."""
        return any(not is_neutral(part) for part in tensors_within(twin))
