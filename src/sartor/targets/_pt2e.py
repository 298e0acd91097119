"""Fake quantization written as quantize and dequantize operators with integer weights: PyTorch's exported form (PT2E)."""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, fx, nn

from sartor.compression import ActivationQuantizer, QuantizedWeight
from sartor.compression.quantizing import rounded_once

#: Exported integers are signed.
_LOWEST = -128


def with_integers(network: fx.GraphModule) -> fx.GraphModule:
    """A copy with pairs of operators of which integer kernels can be made; every reader has its own.

    A layer whose result is not rounded has no integer kernel: it reads rounded numbers, with rounded weights, in fp32.
    """
    from torch.ao.quantization.fx._decomposed import quantized_decomposed_lib  # noqa: F401 - registers the operators

    lowered = copy.deepcopy(network)
    for node in [node for node in lowered.graph.nodes if node.op == "call_module"]:
        module = lowered.get_submodule(str(node.target))
        if isinstance(module, QuantizedWeight):
            plain = rounded_once(module)
            layer = _IntegerLayer(module, plain) if _is_rounded(lowered, node) else plain
            lowered.set_submodule(str(node.target), layer)
    for node in list(lowered.graph.nodes):
        if node.op == "call_module" and isinstance(
            quantizer := lowered.get_submodule(str(node.target)), ActivationQuantizer
        ):
            _split(lowered, node, quantizer)
    for parameter in lowered.parameters():
        parameter.data = parameter.data.contiguous()  # other layouts confuse the lowering
    lowered.recompile()
    return lowered


def _split(network: fx.GraphModule, node: fx.Node, quantizer: ActivationQuantizer) -> None:
    """One quantize, and a dequantize for each reader."""
    operators = torch.ops.quantized_decomposed
    highest = _LOWEST + 2**quantizer.bits - 1
    numbers = (
        float(quantizer.scale),
        int(quantizer.zero_point) + _LOWEST,
        _LOWEST,
        highest,
        torch.int8,
    )
    with network.graph.inserting_before(node):
        whole = network.graph.call_function(
            operators.quantize_per_tensor.default, (node.all_input_nodes[0], *numbers)
        )
    for reader in list(node.users):
        with network.graph.inserting_before(reader):
            real = network.graph.call_function(
                operators.dequantize_per_tensor.default, (whole, *numbers)
            )
        reader.replace_input_with(node, real)
    network.graph.erase_node(node)


def _is_rounded(network: fx.GraphModule, node: fx.Node) -> bool:
    """Whether all that a layer writes, behind its clipping, is rounded."""
    (*readers,) = node.users
    if len(readers) != 1 or readers[0].op != "call_module":
        return (
            len(readers) == 1
            and "relu" in str(readers[0].target)
            and _is_rounded(network, readers[0])
        )
    module = network.get_submodule(str(readers[0].target))
    if isinstance(module, (nn.ReLU, nn.ReLU6, nn.Identity)):
        return _is_rounded(network, readers[0])
    return isinstance(module, ActivationQuantizer)


class _IntegerLayer(nn.Module):
    """A layer whose weight is stored as integers."""

    integers: Tensor
    scale: Tensor
    zero_point: Tensor

    def __init__(self, layer: QuantizedWeight, plain: nn.Module) -> None:
        super().__init__()
        self.register_buffer("integers", layer.integers())
        self.register_buffer("scale", layer.weight_scale.clone())
        self.register_buffer("zero_point", layer.weight_zero_point.long())
        self.bias, self._half = plain.bias, 2 ** (layer.weight_bits - 1)
        self._call: Callable[..., Tensor] = nn.functional.linear
        self._options: tuple[Any, ...] = ()
        self._around: tuple[list[int], str] | None = None
        if isinstance(plain, (nn.Conv1d, nn.Conv2d)):
            self._call = (
                nn.functional.conv1d if isinstance(plain, nn.Conv1d) else nn.functional.conv2d
            )
            self._options = (plain.stride, plain.padding, plain.dilation, plain.groups)
            if plain.padding_mode != "zeros":
                self._around = (list(plain._reversed_padding_repeated_twice), plain.padding_mode)
                self._options = (plain.stride, 0, plain.dilation, plain.groups)

    def forward(self, x: Tensor) -> Tensor:
        """Output, not rounded."""
        weight = torch.ops.quantized_decomposed.dequantize_per_channel.default(
            self.integers, self.scale, self.zero_point, 0, -self._half, self._half - 1, torch.int8
        )
        if self._around is not None:
            x = nn.functional.pad(x, self._around[0], mode=self._around[1])
        return self._call(x, weight, self.bias, *self._options)
