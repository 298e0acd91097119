"""From a module and example inputs to a `Network`: layers, groups, and what is kept whole."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Any, Literal

import numpy as np
import torch
from torch import Tensor, fx, nn

from sartor.errors import TraceError
from sartor.graph._groups import find_groups, unit_table
from sartor.graph._labelling import Labelling
from sartor.graph._layers import KEPT, KeptWhole, Layer, LayerSpec, Product, Slot
from sartor.graph._network import Network
from sartor.graph._operators import operator_name, per_channel_tensors
from sartor.graph._prepare import require_finite, unwrapped
from sartor.graph._propagation import labelled
from sartor.graph._rewire import Rewiring
from sartor.graph._rigid import find_rigid
from sartor.graph._symbolic import failed, symbolic
from sartor.machine import IntArray


def trace(model: nn.Module, example_inputs: Tensor | Sequence[Tensor]) -> Network:
    """Trace ``model`` with one example of each input; the model itself is not changed.

    ``example_inputs`` have the batch first; only the first element of it is used. The forward pass
    may branch on sizes, which are those of the example from then on, except the batch size. Models
    in `torch.nn.DataParallel` or `torch.compile` are taken out of them. What `torch.fx` cannot
    follow (``*args``, assignments to parts of tensors, torch's own transformers) is traced by
    `torch.export`; names and weights are those of the model either way.

    Raises `TraceError`, with the line of the forward pass where that is known, where it depends on
    values (``if x.sum() > 0``) or on the batch size, or fails on the examples; and `WeightsError`
    where a weight is NaN or infinite.

    >>> model = torch.nn.Sequential(torch.nn.Conv2d(3, 8, 3), torch.nn.Conv2d(8, 4, 3))
    >>> network = trace(model, torch.randn(1, 3, 8, 8))
    >>> [(layer.name, layer.macs) for layer in network.layers]
    [('0', 7776), ('1', 4608)]
    >>> [(group.name, group.size) for group in network.groups]
    [('0', 8)]
    """
    inputs = _examples(example_inputs)
    model = unwrapped(model)
    require_finite(model)

    # Forward passes may draw numbers; the caller's generator stays as it is.
    with torch.random.fork_rng(devices=[]):
        module = symbolic(model, inputs)
        followed = _followed(model, module, inputs)

    unit_of, units = unit_table(followed)
    layers = _layers(followed)
    slots = _slots(followed, unit_of)
    groups = find_groups(slots, units)
    kept_whole = _kept_whole(followed, layers, unit_of)

    units_of_groups = [group.units for group in groups]
    rigid = find_rigid(followed, unit_of.__getitem__, units_of_groups)
    inserted = Rewiring(followed, unit_of.__getitem__, rigid).apply()

    return Network(
        module=module,
        example_inputs=inputs,
        layers=layers,
        slots=(*slots, *inserted),
        groups=groups,
        kept_whole=kept_whole,
        unknown_operators=_unknown_operators(followed),
        units=units,
        shared=followed.calls.shared,
        products=_products(followed, unit_of),
    )


def _examples(given: Any) -> tuple[Tensor, ...]:
    """Examples with a batch of one."""
    is_sequence = isinstance(given, Sequence) and not isinstance(given, str)
    items = given if is_sequence else [given]
    return tuple(_first_of_batch(item) for item in items)


def _first_of_batch(item: Any) -> Tensor:
    if isinstance(item, np.ndarray):
        item = torch.from_numpy(item)

    what = type(item).__name__
    if isinstance(item, Tensor):
        if item.dim() and len(item):
            first = item[:1]
            return first.detach().cpu()
        what = f"shape {tuple(item.shape)}"

    raise TraceError(
        f"example inputs must be tensors with at least one element of the batch, not {what}"
    )


def _followed(model: nn.Module, module: fx.GraphModule, inputs: Sequence[Tensor]) -> Labelling:
    try:
        return labelled(module, *inputs)
    except Exception as error:  # what a forward pass does may fail on a batch of one
        raise failed(model, inputs, error) from error


def _slots(followed: Labelling, unit_of: IntArray) -> tuple[Slot, ...]:
    slots = []
    for name, calls in followed.calls.by_module.items():
        module = followed.modules[name]
        # All calls of a module have the channels of the first.
        _, incoming, outgoing = calls[0]

        slot = Slot(
            name=name,
            kind=_kind(module),
            in_units=unit_of[incoming],
            out_units=unit_of[outgoing],
            per_channel=per_channel_tensors(module, channels=len(outgoing)),
        )
        slots.append(slot)
    return tuple(slots)


def _kind(module: nn.Module) -> Literal["layer", "norm", "embedding"]:
    if isinstance(module, Layer):
        return "layer"
    return "embedding" if isinstance(module, nn.Embedding) else "norm"


def _products(followed: Labelling, unit_of: IntArray) -> tuple[Product, ...]:
    products = []
    for call in followed.products:
        product = Product(call.node.name, unit_of[call.channels], call.macs)
        products.append(product)
    return tuple(products)


def _layers(followed: Labelling) -> tuple[LayerSpec, ...]:
    layers = []
    for name, calls in followed.calls.by_module.items():
        module = followed.modules[name]
        if not isinstance(module, Layer):
            continue

        first, *_ = calls[0]
        source = first.all_input_nodes[0]
        entering = _shape(followed, source)
        leaving = [_shape(followed, node) for node, _, _ in calls]

        layer = LayerSpec.of(name, module, entering, leaving)
        layers.append(layer)

    return tuple(layers)


def _shape(followed: Labelling, node: fx.Node) -> tuple[int, ...]:
    value = followed.values[node]
    return tuple(value.shape)


def _kept_whole(
    followed: Labelling, layers: Sequence[LayerSpec], unit_of: IntArray
) -> tuple[KeptWhole, ...]:
    kept = []
    for layer in layers:
        _, _, outgoing = followed.calls.by_module[layer.name][0]
        is_kept = unit_of[outgoing] == KEPT
        pinned = outgoing[is_kept]

        reasons: Counter[str] = Counter()
        for label in pinned.tolist():
            reason = followed.labels.reason(label)
            reasons[reason or "feeds no other layer"] += 1

        for reason, count in reasons.items():
            item = KeptWhole(layer.name, count, reason)
            kept.append(item)

    return tuple(kept)


def _unknown_operators(followed: Labelling) -> tuple[str, ...]:
    # A dictionary, for names once each in the order in which they run.
    found: dict[str, None] = {}

    for node in followed.unknown:
        if node.op == "call_module":
            module = followed.modules[str(node.target)]
            kind = type(module).__name__
            name = f"{node.target} ({kind})"
        else:
            name = operator_name(node)
        found[name] = None

    return tuple(found)
