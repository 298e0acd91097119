"""From a module and example inputs to a `Network`: layers, groups, and what is kept whole."""

from __future__ import annotations

import copy
import inspect
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import torch
from torch import Tensor, fx, nn

from sartor.errors import TraceError, WeightsError
from sartor.graph._groups import find_groups, unit_table
from sartor.graph._inplace import without_in_place
from sartor.graph._layers import KEPT, Group, KeptWhole, Layer, LayerSpec, Slot
from sartor.graph._operators import costs_nothing, operator_name
from sartor.graph._outputs import differ
from sartor.graph._propagation import LabelPropagation
from sartor.graph._rewire import Rewiring, find_rigid
from sartor.graph._select import ChannelSelect
from sartor.machine import IntArray

#: Largest difference between a network and its trace, relative to the largest output.
_TOLERANCE = 1e-4


@dataclass(frozen=True, eq=False)
class Network:
    """A traced network: an `fx.GraphModule` in evaluation mode with the static facts policies are made of.

    ``example_inputs`` have a batch of one. ``unknown_operators`` are those whose MACs are not counted.
    """

    module: fx.GraphModule
    example_inputs: tuple[Tensor, ...]
    layers: tuple[LayerSpec, ...]
    slots: tuple[Slot, ...]
    groups: tuple[Group, ...]
    kept_whole: tuple[KeptWhole, ...]
    unknown_operators: tuple[str, ...]
    units: int

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


class _Tracer(fx.Tracer):
    def is_leaf_module(self, m: nn.Module, module_qualified_name: str) -> bool:
        return isinstance(m, ChannelSelect) or super().is_leaf_module(m, module_qualified_name)


def trace(model: nn.Module, example_inputs: Tensor | Sequence[Tensor]) -> Network:
    """Trace ``model`` with one example (a batch of one, or only its first element is used); the model itself is not changed.

    Raises `TraceError` where the forward pass depends on values (``if x.sum() > 0``) or fails on the examples, and
    `WeightsError` where a weight is NaN or infinite.
    """
    inputs = (example_inputs,) if isinstance(example_inputs, Tensor) else tuple(example_inputs)
    inputs = tuple(item[:1].detach().cpu() for item in inputs)
    require_finite(model)
    network = _symbolic(model, inputs)
    try:
        labelled = LabelPropagation(network).run(*inputs)
    except Exception as error:
        raise _failed(model, inputs, error) from error
    unit_of, units = unit_table(labelled)
    slots, layers, kept_whole = (
        _slots(labelled, unit_of),
        _layers(labelled),
        _kept_whole(labelled, unit_of),
    )
    groups = find_groups(slots, units)
    rigid = find_rigid(labelled, lambda labels: unit_of[labels], [group.units for group in groups])
    selects = Rewiring(labelled, rigid).apply()
    unit_of = np.append(unit_of, KEPT)  # label −1: the side of a selection that stays at full width
    slots += tuple(
        Slot(name, "select", unit_of[entering], unit_of[leaving], _dim_of(network, name))
        for name, (entering, leaving) in selects.items()
    )
    return Network(
        module=network,
        example_inputs=inputs,
        layers=layers,
        slots=slots,
        groups=groups,
        kept_whole=kept_whole,
        unknown_operators=_unknown_operators(labelled),
        units=units,
    )


def require_finite(model: nn.Module) -> None:
    """Raise `WeightsError` naming the first parameter or buffer with NaN or infinity."""
    for name, tensor in model.state_dict().items():
        if tensor.is_floating_point() and not bool(torch.isfinite(tensor).all()):
            bad = int((~torch.isfinite(tensor)).sum())
            raise WeightsError(
                f"{name} of {type(model).__name__} has {bad} NaN or infinite values; all weights must be finite"
            )


def _failed(model: nn.Module, inputs: Sequence[Tensor], error: Exception) -> TraceError:
    """The user's own forward pass may raise anything."""
    shapes = ", ".join(str(tuple(item.shape)) for item in inputs)
    return TraceError(
        f"{type(model).__name__} cannot be traced: its forward pass fails on inputs of shape {shapes}: {error}"
    )


@torch.no_grad()
def _run(module: nn.Module, inputs: Sequence[Tensor]) -> Any:
    """Outputs; what is drawn in a forward pass is drawn alike each time."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        return module(*(item.clone() for item in inputs))


def _symbolic(model: nn.Module, inputs: Sequence[Tensor]) -> fx.GraphModule:
    """The graph of what runs, in evaluation mode, without in-place operators; held against the network it is of."""
    given = model
    model = copy.deepcopy(model).cpu().float().eval().requires_grad_(False)
    tracer = _Tracer()
    try:
        parameters = list(inspect.signature(model.forward).parameters.values())
        defaults = {
            p.name: p.default for p in parameters[len(inputs) :] if p.default is not p.empty
        }
        graph = tracer.trace(model, concrete_args=defaults or None)
    except Exception as error:  # fx raises many kinds; all mean the same to the user
        raise TraceError(
            f"{type(model).__name__} cannot be traced: {error}. The forward pass must not branch on tensor values"
        ) from error
    try:
        expected = _run(model, inputs)
    except Exception as error:
        raise _failed(given, inputs, error) from error
    without_in_place(model, graph)
    for node in graph.nodes:
        if (
            node.op == "call_method" and node.target == "view"
        ):  # fails on channels-last tensors; reshape is the same otherwise
            node.target = "reshape"
    network = fx.GraphModule(model, graph)
    network.graph.eliminate_dead_code()  # what does not run, such as a head for training, is neither counted nor decided on
    network.delete_all_unused_submodules()
    network.recompile()
    if differ(_run(network, inputs), expected, _TOLERANCE):
        raise TraceError(
            f"{type(given).__name__} cannot be traced: its trace computes something else than the network; "
            "an in-place operator on a part of a tensor is a usual cause"
        )
    return network


def _dim_of(network: fx.GraphModule, name: str) -> int:
    select = network.get_submodule(name)
    assert isinstance(select, ChannelSelect)
    return select.dim


def _slots(labelled: LabelPropagation, unit_of: IntArray) -> tuple[Slot, ...]:
    slots = []
    for name, calls in labelled.calls.items():
        _, incoming, outgoing = calls[0]
        is_layer = isinstance(labelled.modules[name], Layer)
        slots.append(
            Slot(name, "layer" if is_layer else "norm", unit_of[incoming], unit_of[outgoing])
        )
    return tuple(slots)


def _layers(labelled: LabelPropagation) -> tuple[LayerSpec, ...]:
    layers = []
    for name, calls in labelled.calls.items():
        module = labelled.modules[name]
        node = calls[0][0]
        if isinstance(module, Layer):
            entering = tuple(labelled.values[node.all_input_nodes[0]].shape)
            leaving = [tuple(labelled.values[call].shape) for call, _, _ in calls]
            layers.append(LayerSpec.of(name, module, entering, leaving))
    return tuple(layers)


def _kept_whole(labelled: LabelPropagation, unit_of: IntArray) -> tuple[KeptWhole, ...]:
    kept = []
    for layer in _layers(labelled):
        _, _, outgoing = labelled.calls[layer.name][0]
        pinned = outgoing[unit_of[outgoing] == KEPT]
        reasons: dict[str, int] = {}
        for label in pinned.tolist():
            reason = labelled.labels.reason(label) or "feeds no other layer"
            reasons[reason] = reasons.get(reason, 0) + 1
        kept += [KeptWhole(layer.name, count, reason) for reason, count in reasons.items()]
    return tuple(kept)


def _unknown_operators(labelled: LabelPropagation) -> tuple[str, ...]:
    found = []
    for node in labelled.unknown:
        module = labelled.modules[str(node.target)] if node.op == "call_module" else None
        if not costs_nothing(node, module):
            found.append(
                f"{node.target} ({type(module).__name__})"
                if module is not None
                else operator_name(node)
            )
    return tuple(dict.fromkeys(found))
