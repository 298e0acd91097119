"""What tracing gives."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property

from torch import Tensor, fx

from sartor.graph._layers import Group, KeptWhole, LayerSpec, Product, Slot


@dataclass(frozen=True, eq=False)
class Network:
    """A traced network, and the static facts that policies are made of.

    Attributes:
        module: The graph of what runs, in evaluation mode, float32, on the CPU.
        example_inputs: What it was traced with; a batch of one.
        input_names: Arguments of the forward pass that the examples were given as, in their order;
            none where they were not given by name.
        layers: Convolutions and linear layers, in the order in which they run.
        slots: All modules whose tensors have channels: layers, norms, and what was inserted.
        groups: What can be removed, one decision each.
        kept_whole: Channels that are never removed, and why.
        unknown_operators: What runs, may multiply, and is not known: its MACs are estimated by
            running it, as ``products`` that no policy changes, where torch counts them.
        units: How many units there are, in all groups together.
        shared: Layers and norms that have the weights of an earlier one, with the name of that one.
        products: What multiplies activations with each other, and what has no weights of a layer
            and is counted at full width.

    """

    module: fx.GraphModule
    example_inputs: tuple[Tensor, ...]
    layers: tuple[LayerSpec, ...]
    slots: tuple[Slot, ...]
    groups: tuple[Group, ...]
    kept_whole: tuple[KeptWhole, ...]
    unknown_operators: tuple[str, ...]
    units: int
    shared: Mapping[str, str] = field(default_factory=dict)
    products: tuple[Product, ...] = ()
    input_names: tuple[str, ...] = ()

    @cached_property
    def layer_by_name(self) -> dict[str, LayerSpec]:
        """Layers by module name."""
        return {layer.name: layer for layer in self.layers}

    @cached_property
    def group_by_name(self) -> dict[str, Group]:
        """Groups by name."""
        return {group.name: group for group in self.groups}

    @cached_property
    def slot_by_name(self) -> dict[str, Slot]:
        """Slots by module name."""
        return {slot.name: slot for slot in self.slots}
