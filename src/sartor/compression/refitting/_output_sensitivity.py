"""How much an error at a layer's output changes what the network says."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, fx

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
    sums = {layer.name: torch.zeros(layer.out_channels) for layer in network.layers}
    count = len(inputs[0])
    for start in range(0, count, _BATCH):
        batch = [item[start : start + _BATCH] for item in inputs]
        for name, gradient in _gradients(network, batch, generator):
            axis = -1 if network.layer_by_name[name].kind == "linear" else 1
            sums[name] += gradient.square().movedim(axis, 0).flatten(1).sum(1)
    return {name: value / count for name, value in sums.items()}


def _gradients(
    network: Network, inputs: list[Tensor], generator: torch.Generator
) -> list[tuple[str, Tensor]]:
    """Gradients of a random projection of the network's outputs, by the call of each layer."""
    calls: list[tuple[str, Tensor]] = []

    def visit(node: fx.Node, value: Any) -> None:
        if node.op == "call_module" and node.target in network.layer_by_name:
            calls.append((str(node.target), value))

    with torch.enable_grad():
        leaves = [item.clone().requires_grad_(item.is_floating_point()) for item in inputs]
        outputs = tensors_in(Walk(network.module, leaves).run(visit))
        projections = [
            (output * torch.randn(output.shape, generator=generator)).sum() for output in outputs
        ]
        total = sum(projections[1:], projections[0])
        gradients = torch.autograd.grad(total, [value for _, value in calls], allow_unused=True)
    names = [name for name, _ in calls]
    return [
        (name, gradient)
        for name, gradient in zip(names, gradients, strict=True)
        if gradient is not None
    ]
