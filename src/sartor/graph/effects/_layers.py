"""Layers: every channel that leaves is a new one."""

from __future__ import annotations

import numpy as np
from torch import Tensor, fx, nn

from sartor.graph._labelling import Labelling
from sartor.graph._labels import spread, tied_along
from sartor.graph._twins import pin_twins


def mix(labelled: Labelling, node: fx.Node, value: Tensor) -> Tensor:
    """A convolution or a linear layer."""
    module = labelled.module(node)
    # Linear layers have their features last, convolutions their channels second.
    dim = -1 if isinstance(module, nn.Linear) else 1

    twin = labelled.carriers(node)[0]
    incoming = tied_along(labelled.labels, twin, dim)
    if incoming is None:
        reason = f"enters {node.target} with channels spread over several axes"
        pin_twins(labelled.labels, [twin], reason)
        width = twin.shape[dim]
        incoming = labelled.labels.fresh_pinned(width, reason)

    width = value.shape[dim]
    outgoing = labelled.labels.fresh(width)
    groups = getattr(module, "groups", 1)
    if groups > 1:
        labelled.calls.tie_groups(incoming, outgoing, groups)

    labelled.calls.add(node, incoming, outgoing)
    return spread(outgoing, value.shape, dim)


def embed(labelled: Labelling, node: fx.Node, value: Tensor) -> Tensor:
    """A table of vectors, which are picked by whole numbers."""
    outgoing = labelled.labels.fresh(value.shape[-1])
    nothing = np.empty(0, dtype=np.int64)
    labelled.calls.add(node, nothing, outgoing)
    return spread(outgoing, value.shape, -1)
