"""Twins of tensors: one label for each element, the channel that it carries."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import Tensor

from sartor.graph._labels import (
    NEUTRAL,
    Labels,
    along,
    distinct,
    distinct_pairs,
    is_neutral,
    spread,
    varying_axes,
)
from sartor.graph._values import tensors_within


def pinned_twin(labels: Labels, value: Any, reason: str) -> Any:
    """Twin of one label that is never removed; None of what holds no tensors."""
    if isinstance(value, Tensor):
        return _pinned_tensor(labels, value, reason)
    if not tensors_within(value):
        return None

    if isinstance(value, dict):
        value = list(value.values())
    return [pinned_twin(labels, item, reason) for item in value]


def _pinned_tensor(labels: Labels, value: Tensor, reason: str) -> Tensor:
    # A single number spans no channels: it goes with any that it meets.
    label = NEUTRAL
    if value.numel() > 1:
        (fresh,) = labels.fresh_pinned(1, reason)
        label = int(fresh)

    one = torch.full((), label, dtype=torch.float64)
    return one.expand(value.shape)


def pin_twins(labels: Labels, twins: list[Tensor], reason: str) -> None:
    """Never remove any channel of these."""
    for twin in twins:
        channels = distinct(twin)
        labels.pin(channels, reason)


def combine(labels: Labels, twins: list[Tensor], shape: torch.Size) -> Tensor:
    """Twin of what is broadcast together to ``shape``; labels that meet become one unit."""
    result = torch.full((), NEUTRAL, dtype=torch.float64).expand(shape)
    carrying = [twin for twin in twins if not is_neutral(twin)]

    for twin in _without_broadcast(labels, carrying, shape):
        other = twin.expand(shape)
        _merge_where_they_meet(labels, result, other)

        # Padding takes over the channel that it is combined with.
        is_padding = result == NEUTRAL
        result = other if is_padding.all() else torch.where(is_padding, other, result)

    return result


def _merge_where_they_meet(labels: Labels, a: Tensor, b: Tensor) -> None:
    for left, right in distinct_pairs(a, b):
        if NEUTRAL not in (left, right):
            labels.merge(left, right)


def _without_broadcast(labels: Labels, twins: list[Tensor], shape: torch.Size) -> list[Tensor]:
    """Those whose channels meet one other each.

    One value combined with several different channels, such as a spatial attention map, is no
    channel of theirs: it is kept whole.
    """
    if len(twins) == 1:
        return twins

    varying = [_axes_from_behind(labels, twin) for twin in twins]
    remaining = []
    for index, twin in enumerate(twins):
        stretched = {-1 - dim for dim in range(len(shape)) if _is_stretched(twin, shape, -1 - dim)}
        others = set().union(*varying[:index], *varying[index + 1 :])
        if stretched & others:
            pin_twins(labels, [twin], "combined with every channel of another tensor")
        else:
            remaining.append(twin)
    return remaining


def _axes_from_behind(labels: Labels, twin: Tensor) -> set[int]:
    """Axes along which channels vary, the last being −1."""
    return {dim - twin.dim() for dim in varying_axes(labels, twin)}


def _is_stretched(twin: Tensor, shape: torch.Size, dim: int) -> bool:
    """Whether a twin has one place along an axis, counted from behind, where the shape has more."""
    own = twin.shape[dim] if -dim <= twin.dim() else 1
    return own == 1 < shape[dim]


def label_padding(labels: Labels, twin: Tensor) -> Tensor:
    """Channels made of padding get labels of their own.

    What is added to them later decides whether they stay.
    """
    channels = along(labels, twin, 1)
    if channels is None:
        return twin

    padding = channels == NEUTRAL
    if padding.all() or not padding.any():
        return twin

    fresh = labels.fresh(len(channels))
    labelled = np.where(padding, fresh, channels)
    return spread(labelled, twin.shape, 1)
