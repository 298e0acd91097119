"""Networks on another device than they were traced on."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import chain
from typing import Any

import torch
from torch import Tensor, fx, nn

from sartor.compression.modules._copies import shallow_copy, with_own_graph, with_tensors
from sartor.machine import CPU

#: What makes tensors of numbers alone, on the CPU unless it is told where.
_FACTORIES = {
    torch.arange,
    torch.empty,
    torch.eye,
    torch.full,
    torch.linspace,
    torch.ones,
    torch.rand,
    torch.randn,
    torch.tensor,
    torch.zeros,
}


def device_of(network: nn.Module) -> torch.device:
    """Where the tensors of a network are; the CPU for one without.

    >>> device_of(nn.Linear(2, 1))
    device(type='cpu')
    """
    tensors = chain(network.parameters(), network.buffers())
    first = next(tensors, None)
    return CPU if first is None else first.device


def on_device(network: fx.GraphModule, device: torch.device) -> fx.GraphModule:
    """A network that computes on a device: itself if it is there, else a copy.

    What it computes is the same, with its constants, and with tensors that its forward pass makes.
    """
    if all(tensor.device == device for tensor in _tensors(network)):
        return network

    moved = shallow_copy(network)
    if _names_devices(network.graph):
        moved, _ = with_own_graph(network)
        _rename_devices(moved.graph, device)
        moved.recompile()

    # By identity, so that tensors that modules share stay shared.
    known: dict[int, Tensor] = {}
    # A list, because modules are replaced on the way.
    for name, module in list(moved.named_modules()):
        new = _moved(module, device, known)
        if name:
            moved.set_submodule(name, new)
        else:
            # The network itself cannot be replaced, only what it holds.
            moved.__dict__.update(_own(new))

    return moved


def _tensors(network: nn.Module) -> Iterator[Tensor]:
    return chain(network.parameters(), network.buffers())


def _moved(module: nn.Module, device: torch.device, known: dict[int, Tensor]) -> nn.Module:
    """A copy of one module whose own tensors are on a device."""

    def move(tensor: Tensor) -> Tensor:
        if id(tensor) not in known:
            known[id(tensor)] = _on(tensor, device)
        return known[id(tensor)]

    new = with_tensors(module, {})
    tables: tuple[dict[str, Any], ...] = (new._parameters, new._buffers, new.__dict__)
    for table in tables:
        for name, value in list(table.items()):
            if isinstance(value, Tensor):
                table[name] = move(value)

    return new


def _on(tensor: Tensor, device: torch.device) -> Tensor:
    moved = tensor.detach().to(device)
    if isinstance(tensor, nn.Parameter):
        return nn.Parameter(moved, requires_grad=tensor.requires_grad)
    return moved


def _own(module: nn.Module) -> dict[str, Any]:
    """Tensors of a module itself, as its attributes hold them."""
    plain = {name: value for name, value in vars(module).items() if isinstance(value, Tensor)}
    return {**plain, "_parameters": module._parameters, "_buffers": module._buffers}


def _names_devices(graph: fx.Graph) -> bool:
    """Whether the device of what a graph computes stands in the graph itself."""
    return any(_makes_tensors(node) or _named_devices(node) for node in graph.nodes)


def _rename_devices(graph: fx.Graph, device: torch.device) -> None:
    """Let a graph make its tensors on a device."""

    def rename(argument: Any) -> Any:
        return device if isinstance(argument, torch.device) else argument

    for node in graph.nodes:
        node.args = fx.node.map_aggregate(node.args, rename)
        node.kwargs = fx.node.map_aggregate(node.kwargs, rename)
        if _makes_tensors(node):
            node.kwargs = {**node.kwargs, "device": device}


def _makes_tensors(node: fx.Node) -> bool:
    return node.op == "call_function" and node.target in _FACTORIES


def _named_devices(node: fx.Node) -> list[torch.device]:
    """Devices among the arguments of a node."""
    found: list[torch.device] = []

    def look(argument: Any) -> Any:
        if isinstance(argument, torch.device):
            found.append(argument)
        return argument

    fx.node.map_aggregate((node.args, node.kwargs), look)
    return found
