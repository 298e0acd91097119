"""How many images are kept, and run through a network at once, within a bound on memory."""

from __future__ import annotations

import math

from torch import Tensor

from sartor.graph import LayerSpec, Network

#: What the values of a network may take while it runs on images, in bytes.
_ROOM = 2**26
#: The same where gradients are wanted.
_ROOM_OF_GRADIENTS = 3 * 2**27
#: What the calibration images may take, in bytes.
_ROOM_OF_IMAGES = 2**27
_BYTES = 4
#: Tensors of the largest size that are in memory at once: read, written, a shortcut.
_AT_ONCE = 3
#: A value and its gradient, and what a norm or an activation behind the layer keeps of it.
_OF_GRADIENTS = 4


def images_kept(images: Tensor) -> int:
    """How many images of this kind, (count, …), are kept in memory as a network reads them.

    >>> import torch
    >>> images_kept(torch.zeros(1, 3, 224, 224))
    222
    """
    return max(1, _ROOM_OF_IMAGES // images[:1].nbytes)


def images_at_once(network: Network) -> int:
    """How many images run through a network together, of which only what is needed is kept.

    >>> import torch
    >>> from sartor.graph import trace
    >>> model = torch.nn.Sequential(torch.nn.Conv2d(3, 64, 3, padding=1))
    >>> images_at_once(trace(model, torch.zeros(1, 3, 32, 32)))
    85
    """
    largest = max((_values(layer) for layer in network.layers), default=1)
    return max(1, _ROOM // (largest * _BYTES * _AT_ONCE))


def in_parts(network: Network, images: int) -> list[slice]:
    """Parts of about the same size, each of as many images as run through a network together."""
    count = math.ceil(images / images_at_once(network))
    size = math.ceil(images / count)
    return [slice(start, min(start + size, images)) for start in range(0, images, size)]


def images_with_gradients(network: Network) -> int:
    """How many images run together if gradients of all layers are wanted."""
    total = sum(_values(layer) for layer in network.layers)
    return max(1, _ROOM_OF_GRADIENTS // (max(1, total) * _BYTES * _OF_GRADIENTS))


def _values(layer: LayerSpec) -> int:
    """Numbers that a layer writes for one image."""
    return layer.out_channels * math.prod(layer.output_size)
