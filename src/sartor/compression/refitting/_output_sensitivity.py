"""How much an error at a layer's output changes what the network says."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn

from sartor.graph import Network, tensors_in

_BATCH = 32


def output_sensitivity(
    network: Network, inputs: tuple[Tensor, ...], generator: torch.Generator
) -> dict[str, Tensor]:
    """Per layer, (out channels,): squared change of the network's outputs per mean squared error at that channel.

    The squared Frobenius norm of the Jacobian, summed over positions, averaged over images, estimated with one random
    projection of the outputs per image (Hutchinson). Unlike the Fisher information it is not concentrated on the few
    training images that a trained network is still unsure about: with it the exact allocation of a ResNet-56 was one
    point more accurate.
    """
    sums = {layer.name: torch.zeros(layer.out_channels) for layer in network.layers}
    count = len(inputs[0])
    for start in range(0, count, _BATCH):
        batch = tuple(
            item[start : start + _BATCH].clone().requires_grad_(item.is_floating_point())
            for item in inputs
        )
        with torch.enable_grad(), _recorded(network) as calls:
            projections = [
                (y * torch.randn(y.shape, generator=generator)).sum()
                for y in tensors_in(network.module(*batch))
            ]
            outputs = [output for _, output in calls]
            gradients = torch.autograd.grad(
                sum(projections[1:], projections[0]), outputs, allow_unused=True
            )
        for (name, _), gradient in zip(calls, gradients, strict=True):
            if gradient is not None:
                axis = -1 if network.layer_by_name[name].kind == "linear" else 1
                sums[name] += gradient.square().movedim(axis, 0).flatten(1).sum(1)
    return {name: value / count for name, value in sums.items()}


@contextmanager
def _recorded(network: Network) -> Iterator[list[tuple[str, Tensor]]]:
    """Collects the output of every call of every layer."""
    calls: list[tuple[str, Tensor]] = []

    def recorder(name: str) -> Callable[[nn.Module, Any, Tensor], None]:
        return lambda module, args, output: calls.append((name, output))

    handles = [
        network.module.get_submodule(layer.name).register_forward_hook(recorder(layer.name))
        for layer in network.layers
    ]
    try:
        yield calls
    finally:
        for handle in handles:
            handle.remove()
