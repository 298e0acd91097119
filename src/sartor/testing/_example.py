"""A network that conformance tests use."""

from __future__ import annotations

import torch
from torch import Tensor

from sartor import models
from sartor.graph import Network, trace
from sartor.machine import seeded


def example_network() -> tuple[Network, Tensor]:
    """A small residual network with random weights, and eight images of 16 × 16 pixels.

    >>> network, images = example_network()
    >>> len(network.layers), tuple(images.shape)
    (8, (8, 3, 16, 16))
    """
    # callers keep their own draws from the global generator
    with seeded(0):
        model = models.build(
            "resnet8",
            classes=10,
            pixels=16,
        )
        images = torch.randn(8, 3, 16, 16)

    network = trace(model.eval(), images[:1])
    return network, images
