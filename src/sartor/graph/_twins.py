"""Twins of tensors: one label for each element, the channel that it carries."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import Tensor

from sartor.graph._labels import NEUTRAL, Labels, along, distinct, distinct_pairs, spread
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
    first, *others = twins
    _pin_broadcast(labels, first, shape)
    result = first.expand(shape)

    for twin in others:
        _pin_broadcast(labels, twin, shape)
        other = twin.expand(shape)
        _merge_where_they_meet(labels, result, other)

        # Padding takes over the channel that it is combined with.
        is_padding = result == NEUTRAL
        result = torch.where(is_padding, other, result)

    return result


def _merge_where_they_meet(labels: Labels, a: Tensor, b: Tensor) -> None:
    for left, right in distinct_pairs(a, b):
        if NEUTRAL not in (left, right):
            labels.merge(left, right)


def _pin_broadcast(labels: Labels, twin: Tensor, shape: torch.Size) -> None:
    """One value combined with several different channels is no channel of theirs.

    A spatial attention map is one.
    """
    if twin.numel() <= 1 or len(shape) <= 1:
        return

    missing = len(shape) - twin.dim()
    aligned = (1,) * missing + twin.shape
    batch, width, *_ = aligned

    meets_all_channels = width == 1 < shape[1]
    if meets_all_channels and batch == shape[0]:
        reason = "combined with every channel of another tensor"
        pin_twins(labels, [twin], reason)


def label_padding(labels: Labels, twin: Tensor) -> Tensor:
    """Channels made of padding get labels of their own.

    What is added to them later decides whether they stay.
    """
    channels = along(twin, 1)
    if channels is None:
        return twin

    padding = channels == NEUTRAL
    if padding.all() or not padding.any():
        return twin

    fresh = labels.fresh(len(channels))
    labelled = np.where(padding, fresh, channels)
    return spread(labelled, twin.shape, 1)
