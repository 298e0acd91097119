"""Operators that move elements, which are run on the labels themselves."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, fx

from sartor.graph._labelling import Labelling
from sartor.graph._labels import is_neutral, varying_axes
from sartor.graph._operators import operator_name
from sartor.graph._twins import label_padding
from sartor.graph._values import carries_channels, moved_by, tensors_within
from sartor.graph._walk import arguments, call_node

#: Operators that put several tensors beside each other, along ``dim``.
_JOINING = frozenset(["cat", "concat", "concatenate"])

#: Operators that add up what lands in one place.
_SUMMING = frozenset(["fold", "col2im"])


def move(labelled: Labelling, node: fx.Node, value: Any) -> Any:
    """Run the operator itself on the labels."""
    _adopt_beside(labelled, node)
    operands = operands_of(labelled, node)
    if operands is None:
        return labelled.give_up(node, value, "picked by positions that are computed")

    try:
        twin = run_on_labels(labelled, node, operands)
    except Exception:  # some operators take no labels, which are float64
        return labelled.give_up(node, value)
    if twin is None:
        return labelled.give_up(node, value, f"summed over several channels by {node.name}")

    if isinstance(twin, Tensor):
        return label_padding(labelled.labels, twin)
    return twin


def run_on_labels(labelled: Labelling, node: fx.Node, operands: Mapping[fx.Node, Any]) -> Any:
    """What a node gives on labels; None where it sums labels that differ."""
    args, kwargs = arguments(node, operands.__getitem__)
    twin = call_node(labelled.network, node, args, kwargs)
    if labelled.word_for(node).lower() not in _SUMMING:
        return twin

    # Places that overlap are summed: all of them must have had one label.
    tensor, *others = args
    count = call_node(labelled.network, node, (torch.ones_like(tensor), *others), kwargs)
    squares = call_node(labelled.network, node, (tensor.square(), *others), kwargs)
    label = twin / count.clamp_min(1)
    same = label.square() * count == squares
    return label if same.all() else None


def operands_of(labelled: Labelling, node: fx.Node) -> dict[fx.Node, Any] | None:
    """What an operator that moves elements gets; None where inputs decide where to."""
    moved = moved_by(node)
    operands: dict[fx.Node, Any] = {}

    for source in node.all_input_nodes:
        given = labelled.values[source]
        is_computed = source in labelled.depends_on_inputs
        if (node, source) in labelled.adopted:
            operands[source] = labelled.adopted[node, source]
        elif source in moved:
            operands[source] = labelled.carrier(source)
        elif carries_channels(given):
            operands[source] = labelled.twins[source]
        elif is_computed and tensors_within(given):
            return None
        else:
            operands[source] = given

    return operands


def _adopt_beside(labelled: Labelling, node: fx.Node) -> None:
    """A tensor without channels that is put beside one with channels has the same ones.

    So has a class token, which is put before the tokens of an image.
    """
    if operator_name(node) not in _JOINING:
        return

    twins = {source: labelled.twins[source] for source in moved_by(node)}
    plain = {source: twin for source, twin in twins.items() if isinstance(twin, Tensor)}
    without = [source for source, twin in plain.items() if is_neutral(twin)]
    others = [twin for twin in plain.values() if not is_neutral(twin)]
    if not without or not others:
        return

    model = others[0]
    dim = _dim(node) % model.dim()
    if dim in varying_axes(labelled.labels, model):
        return
    for source in without:
        labels = model.narrow(dim, 0, 1)
        labelled.adopt(node, source, labels.expand_as(plain[source]))


def _dim(node: fx.Node) -> int:
    dim = node.args[1] if len(node.args) > 1 else node.kwargs.get("dim", 0)
    return dim if isinstance(dim, int) else 0
