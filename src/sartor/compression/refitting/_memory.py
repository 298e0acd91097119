"""How many images a network can run on at once within a bound on memory."""

from __future__ import annotations

import math

from sartor.graph import LayerSpec, Network

#: What the values of a network may take while it is refitted, in bytes.
ROOM = 3 * 2**27
_BYTES = 4
#: Tensors of the largest size that are in memory at once: read, written, a shortcut.
_AT_ONCE = 3
#: A value and its gradient, and what a norm or an activation behind the layer keeps of it.
_OF_GRADIENTS = 4


def images_at_once(network: Network) -> int:
    """How many images run through a network together, of which only what is needed is kept.

    >>> import torch
    >>> from sartor.graph import trace
    >>> model = torch.nn.Sequential(torch.nn.Conv2d(3, 64, 3, padding=1))
    >>> images_at_once(trace(model, torch.zeros(1, 3, 32, 32)))
    512
    """
    largest = max((_values(layer) for layer in network.layers), default=1)
    return max(1, ROOM // (largest * _BYTES * _AT_ONCE))


def images_with_gradients(network: Network) -> int:
    """How many images run together if gradients of all layers are wanted."""
    total = sum(_values(layer) for layer in network.layers)
    return max(1, ROOM // (max(1, total) * _BYTES * _OF_GRADIENTS))


def _values(layer: LayerSpec) -> int:
    """Numbers that a layer writes for one image."""
    return layer.out_channels * math.prod(layer.output_size)
