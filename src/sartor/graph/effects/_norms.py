"""Norms, and all else that has numbers per channel."""

from __future__ import annotations

from typing import Any

import numpy as np
from torch import Tensor, fx, nn

from sartor.graph._labelling import Labelling
from sartor.graph._labels import NEUTRAL, spread, tied_along
from sartor.graph._layers import OVER_LAST_AXIS
from sartor.machine import IntArray


def scale(labelled: Labelling, node: fx.Node, value: Tensor) -> Any:
    """Numbers per channel, or statistics over channels, which are then taken of those left."""
    module = labelled.module(node)
    twin = labelled.carriers(node)[0]
    dim = 1
    if isinstance(module, OVER_LAST_AXIS):
        dim = -1
        if len(module.normalized_shape) > 1:
            return labelled.give_up(node, value)

    if isinstance(module, nn.PReLU) and module.num_parameters == 1:
        return twin

    channels = tied_along(labelled.labels, twin, dim)
    if channels is None:
        reason = f"enters {node.target} with channels spread over several axes"
        return labelled.give_up(node, value, reason)

    if isinstance(module, nn.GroupNorm):
        _tie_groups(labelled, channels, module.num_groups)

    constant = channels == NEUTRAL
    if constant.any():
        fresh = labelled.labels.fresh_pinned(len(channels), "constant channel")
        channels = np.where(constant, fresh, channels)

    labelled.calls.add(node, channels, channels)
    return spread(channels, value.shape, dim)


def _tie_groups(labelled: Labelling, channels: IntArray, groups: int) -> None:
    """Every group of channels loses the same positions."""
    first, *others = channels.reshape(groups, -1)
    for row in others:
        constant = (first == NEUTRAL) | (row == NEUTRAL)
        if constant.any():
            labelled.labels.pin(channels, "normalised together with constant channels")
            return
        labelled.labels.merge_all(first, row)
