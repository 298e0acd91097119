"""From a module and example inputs to a `Network`: layers, groups, and what is kept whole."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

import torch
from torch import Tensor, fx, nn

from sartor.graph._axes import Tracked, UnitOf
from sartor.graph._examples import Examples, Given
from sartor.graph._groups import find_groups, head_table, unit_table, whole_products
from sartor.graph._labelling import Labelling
from sartor.graph._layers import KEPT, Group, KeptWhole, Layer, LayerSpec
from sartor.graph._network import Network
from sartor.graph._operators import operator_name
from sartor.graph._prepare import require_finite, unwrapped
from sartor.graph._propagation import labelled, labelled_heads
from sartor.graph._rewire import Rewiring
from sartor.graph._rigid import find_rigid
from sartor.graph._slots import channels_of, products_of, slots_of
from sartor.graph._symbolic import failed, symbolic


def trace(model: nn.Module, example_inputs: Given) -> Network:
    """Trace ``model`` with one example of each input; the model itself is not changed.

    ``example_inputs`` have the batch first; only the first element of it is used. A mapping gives
    them by name; all arguments that are not given have their defaults. Whole numbers are taken for
    indices of the range that the example has. The forward pass
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
    model = unwrapped(model)
    examples = Examples.of(model, example_inputs)
    inputs = examples.tensors
    require_finite(model)

    # Forward passes may draw numbers; the caller's generator stays as it is.
    with torch.random.fork_rng(devices=[]):
        module = symbolic(model, examples)
        followed = _followed(model, module, inputs)

    layers = _layers(followed)
    tracked, units, heads = _tracked(followed)
    slots = slots_of(tracked)
    products = products_of(tracked)
    found = find_groups(slots, units, heads)
    groups = whole_products(found, channels_of(slots, products))
    kept_whole = _kept_whole(followed, layers, tracked[0].unit_of)
    uneven = [group for group in found if group not in groups]

    units_of_groups = [group.units for group in groups]
    rigid = find_rigid(tracked, units_of_groups, units)
    inserted = Rewiring(tracked, rigid).apply()

    return Network(
        module=module,
        example_inputs=inputs,
        input_names=examples.names,
        layers=layers,
        slots=(*slots, *inserted),
        groups=groups,
        kept_whole=(*kept_whole, *map(_kept_heads, uneven)),
        unknown_operators=_unknown_operators(followed),
        units=units,
        shared=followed.calls.shared,
        products=products,
    )


def _followed(model: nn.Module, module: fx.GraphModule, inputs: Sequence[Tensor]) -> Labelling:
    try:
        return labelled(module, *inputs)
    except Exception as error:  # what a forward pass does may fail on a batch of one
        raise failed(model, inputs, error) from error


def _tracked(followed: Labelling) -> tuple[list[Tracked], int, int]:
    """Labels of channels, and of heads if there are any; how many units, and how many are heads."""
    table, units = unit_table(followed)
    tracked = [Tracked(followed, table.__getitem__)]
    if not followed.products:
        return tracked, units, 0

    whole = labelled_heads(followed)
    table, heads = head_table(whole, first=units)
    if heads:
        tracked.append(Tracked(whole, table.__getitem__))
    return tracked, units + heads, heads


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
    followed: Labelling, layers: Sequence[LayerSpec], unit_of: UnitOf
) -> tuple[KeptWhole, ...]:
    kept = []
    for layer in layers:
        _, _, outgoing = followed.calls.by_module[layer.name][0]
        is_kept = unit_of(outgoing) == KEPT
        pinned = outgoing[is_kept]

        reasons: Counter[str] = Counter()
        for label in pinned.tolist():
            reason = followed.labels.reason(label)
            reasons[reason or "feeds no other layer"] += 1

        for reason, count in reasons.items():
            item = KeptWhole(layer.name, count, reason)
            kept.append(item)

    return tuple(kept)


def _kept_heads(group: Group) -> KeptWhole:
    reason = "heads that do not have as many channels of each width"
    return KeptWhole(group.producers[0], group.size, reason)


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
