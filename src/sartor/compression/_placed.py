"""A traced network on the device that its candidates are computed on."""

from __future__ import annotations

import dataclasses

import torch
from torch import Tensor, fx

from sartor.compression.modules import on_device
from sartor.errors import UsageError
from sartor.graph import Network, differ, tensors_in
from sartor.machine import CPU, reproducible, seeded

#: Largest difference of outputs from those of the CPU, relative to the largest output.
TOLERANCE = 1e-2


def network_on(network: Network, device: torch.device) -> Network:
    """A network, traced on the CPU, that computes on a device; its example inputs stay.

    It is run there once. Raises `UsageError` if it cannot, or gives other outputs than on the CPU.

    >>> from sartor.graph import trace
    >>> network = trace(torch.nn.Linear(2, 1), torch.zeros(1, 2))
    >>> network_on(network, CPU) is network
    True
    """
    module = on_device(network.module, device)
    if module is network.module:
        return network

    advice = "give device='cpu', or make the tensors of its forward pass where its inputs are"
    expected = _outputs(network.module, network.example_inputs, CPU)
    try:
        found = _outputs(module, network.example_inputs, device)
    except Exception as error:  # a user's forward pass may raise anything
        raise UsageError(
            f"the network cannot run on {str(device)!r}: {_first_line(error)}; {advice}"
        ) from error
    if differ(found, expected, TOLERANCE):
        raise UsageError(f"the network computes something else on {str(device)!r}; {advice}")
    return dataclasses.replace(network, module=module)


@torch.no_grad()
def _outputs(
    module: fx.GraphModule, inputs: tuple[Tensor, ...], device: torch.device
) -> list[Tensor]:
    """Outputs for inputs on the CPU, brought back there."""
    there = [item.to(device) for item in inputs]
    with seeded(0, device), reproducible(device):
        outputs = module(*there)
    return [item.cpu() for item in tensors_in(outputs)]


def _first_line(error: Exception) -> str:
    return str(error).splitlines()[0] if str(error) else type(error).__name__
