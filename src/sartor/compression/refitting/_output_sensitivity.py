"""How much an error at a layer's output changes the outputs of the network."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, fx

from sartor.compression.refitting._memory import images_with_gradients
from sartor.graph import Network, Walk, tensors_in

_BATCH = 32


def output_sensitivity(
    network: Network, inputs: tuple[Tensor, ...], generator: torch.Generator
) -> dict[str, Tensor]:
    """Per layer, (out channels,): change of the outputs per mean squared error at that channel.

    The squared Frobenius norm of the Jacobian, summed over positions, averaged over images,
    estimated with one random projection of the outputs per image (Hutchinson). Unlike the Fisher
    information it is not concentrated on the few training images that a trained network is still
    unsure about: with it the exact allocation of a ResNet-56 was one point more accurate.
    """
    sums = {}
    for layer in network.layers:
        sums[layer.name] = inputs[0].new_zeros(layer.out_channels, dtype=torch.float32)

    # In batches, since gradients of all calls are in memory at once.
    count = len(inputs[0])
    size = min(_BATCH, images_with_gradients(network))
    for start in range(0, count, size):
        chosen = slice(start, start + size)
        batch = [item[chosen] for item in inputs]

        for name, gradient in _gradients(network, batch, generator):
            kind = network.layer_by_name[name].kind
            sums[name] += _squares_by_channel(gradient, kind)

    return {name: value / count for name, value in sums.items()}


def _squares_by_channel(gradient: Tensor, kind: str) -> Tensor:
    """Sum of squares over images and positions, (out channels,)."""
    axis = -1 if kind == "linear" else 1
    squares = gradient.square()
    by_channel = squares.movedim(axis, 0).flatten(1)
    return by_channel.sum(1)


def _gradients(
    network: Network, inputs: list[Tensor], generator: torch.Generator
) -> list[tuple[str, Tensor]]:
    """Gradients of a random projection of the network's outputs, by the call of each layer."""
    calls: list[tuple[str, Tensor]] = []

    def visit(node: fx.Node, value: Any) -> None:
        if node.op == "call_module" and node.target in network.layer_by_name:
            if not value.requires_grad:
                # Behind inputs of whole numbers, such as words, gradients flow from here on.
                value.requires_grad_()
            calls.append((str(node.target), value))

    with torch.enable_grad():
        leaves = []
        for item in inputs:
            # Weights of a trace need no gradients, so these have to flow from the inputs.
            leaf = item.clone().requires_grad_(item.is_floating_point())
            leaves.append(leaf)

        walk = Walk(network.module, leaves)
        outputs = walk.run(visit)
        total = _projection(tensors_in(outputs), generator)
        values = [value for _, value in calls]
        gradients = torch.autograd.grad(total, values, allow_unused=True)

    found = []
    for (name, _), gradient in zip(calls, gradients, strict=True):
        # None where the outputs do not depend on the layer.
        if gradient is not None:
            found.append((name, gradient))

    return found


def _projection(outputs: list[Tensor], generator: torch.Generator) -> Tensor:
    """The sum of all numbers of outputs, each times a random one."""
    projections = []
    for output in outputs:
        # Drawn on the CPU, so that they are the same on every device.
        factors = torch.randn(output.shape, generator=generator)
        products = output * factors.to(output.device)
        projections.append(products.sum())

    # Not from 0: a sum of tensors begins with a tensor.
    first, *others = projections
    return sum(others, first)
