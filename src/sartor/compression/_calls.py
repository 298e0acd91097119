"""What layers read and write."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, fx, nn

from sartor.compression.quantizing import ActivationQuantizer
from sartor.graph import Walk


@dataclass(frozen=True, eq=False)
class LayerCall:
    """One call of a convolution or linear layer.

    Attributes:
        name: Name of the layer in the network.
        layer: The layer.
        input: What it read, (images, …).
        output: What it wrote.
    """

    name: str
    layer: nn.Conv1d | nn.Conv2d | nn.Linear
    input: Tensor
    output: Tensor


@torch.no_grad()
def layer_calls(network: fx.GraphModule, inputs: Sequence[Tensor]) -> list[LayerCall]:
    """All calls, in forward order; layers that share a module are called more than once."""
    recorder = _Recorder(network, inputs)
    recorder.run()
    return recorder.calls


def input_bits(network: fx.GraphModule) -> dict[str, int]:
    """Bits of what each layer reads, by its name, where that is rounded."""
    bits = {}
    for node in network.graph.nodes:
        if node.op != "call_module" or not node.all_input_nodes:
            continue

        source = node.all_input_nodes[0]
        if source.op != "call_module":
            continue

        quantizer = network.get_submodule(str(source.target))
        if isinstance(quantizer, ActivationQuantizer):
            layer = str(node.target)
            bits[layer] = quantizer.bits
    return bits


class _Recorder(Walk):
    def __init__(self, network: fx.GraphModule, inputs: Sequence[Tensor]) -> None:
        super().__init__(network, inputs)
        self.calls: list[LayerCall] = []

    def call(self, node: fx.Node, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        output = super().call(node, args, kwargs)
        if node.op != "call_module":
            return output

        name = str(node.target)
        layer = self.network.get_submodule(name)
        if isinstance(layer, (nn.Conv1d, nn.Conv2d, nn.Linear)):
            read = self.value(node.all_input_nodes[0])
            call = LayerCall(name, layer, input=read, output=output)
            self.calls.append(call)
        return output
