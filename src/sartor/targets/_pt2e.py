"""Fake quantization as quantize and dequantize operators with integer weights.

This is the form of PyTorch's own quantization for exported programs (PT2E).
"""

from __future__ import annotations

import copy
import importlib
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, fx, nn

from sartor.compression import ActivationQuantizer, QuantizedWeight
from sartor.compression.quantizing import rounded_once
from sartor.errors import RunError
from sartor.targets._flat_outputs import flat_outputs
from sartor.targets._padding import padding_of
from sartor.targets._specialized import without_defaults

#: Exported integers are signed.
_LOWEST = -128
#: What registers the operators; torch has no public name for it.
_OPERATORS = "torch.ao.quantization.fx._decomposed"
#: What may stand between a layer and the rounding of its result.
_CLIPPING = (nn.ReLU, nn.ReLU6, nn.Identity)


def with_integers(network: fx.GraphModule) -> fx.GraphModule:
    """A copy with pairs of operators of which integer kernels can be made, one for each reader.

    A layer whose result is not rounded has no integer kernel: it reads rounded numbers, with
    rounded weights, in fp32. Raises `RunError` where torch has no such operators.
    """
    require_operators()
    lowered, _ = flat_outputs(without_defaults(copy.deepcopy(network)))
    for node in _calls_of(lowered, QuantizedWeight):
        _store_integers(lowered, node)
    for node in _calls_of(lowered, ActivationQuantizer):
        _split(lowered, node)

    for parameter in lowered.parameters():
        parameter.data = parameter.data.contiguous()  # other layouts confuse the lowering
    lowered.recompile()
    return lowered


def require_operators() -> None:
    """Make the operators known to torch, or raise `RunError` where they have moved."""
    try:
        importlib.import_module(_OPERATORS)
    except ImportError as error:
        raise RunError(
            f"torch {torch.__version__} has no {_OPERATORS}, whose operators exported integers "
            f"need; install an earlier one"
        ) from error


def _calls_of(network: fx.GraphModule, kind: type[object]) -> list[fx.Node]:
    """Nodes that call a module of a kind."""
    found = []
    for node in network.graph.nodes:
        if node.op != "call_module":
            continue
        module = network.get_submodule(str(node.target))
        if isinstance(module, kind):
            found.append(node)
    return found


def _store_integers(network: fx.GraphModule, node: fx.Node) -> None:
    """A plain layer in place of a quantized one, with integer weights where a kernel reads them."""
    name = str(node.target)
    module = network.get_submodule(name)
    assert isinstance(module, QuantizedWeight)

    layer = rounded_once(module)
    if _is_rounded(network, node):
        layer = _IntegerLayer(module, layer)
    network.set_submodule(name, layer)


def _split(network: fx.GraphModule, node: fx.Node) -> None:
    """One quantize in place of a quantizer, and a dequantize for each reader."""
    quantizer = network.get_submodule(str(node.target))
    assert isinstance(quantizer, ActivationQuantizer)
    numbers = (
        float(quantizer.scale),
        int(quantizer.zero_point) + _LOWEST,
        _LOWEST,
        _LOWEST + 2**quantizer.bits - 1,
        torch.int8,
    )

    graph = network.graph
    operators = torch.ops.quantized_decomposed
    source = node.all_input_nodes[0]
    with graph.inserting_before(node):
        whole = graph.call_function(
            operators.quantize_per_tensor.default,
            (source, *numbers),
        )

    for reader in list(node.users):
        with graph.inserting_before(reader):
            real = graph.call_function(
                operators.dequantize_per_tensor.default,
                (whole, *numbers),
            )
        reader.replace_input_with(node, real)
    graph.erase_node(node)


def _is_rounded(network: fx.GraphModule, node: fx.Node) -> bool:
    """Whether all that a layer writes, behind its clipping, is rounded."""
    if len(node.users) != 1:
        return False

    (reader,) = node.users
    if reader.op != "call_module":
        is_clipping = "relu" in str(reader.target)
        return is_clipping and _is_rounded(network, reader)

    module = network.get_submodule(str(reader.target))
    if isinstance(module, _CLIPPING):
        return _is_rounded(network, reader)
    return isinstance(module, ActivationQuantizer)


class _IntegerLayer(nn.Module):
    """A layer whose weight is stored as integers."""

    integers: Tensor
    scale: Tensor
    zero_point: Tensor

    def __init__(self, layer: QuantizedWeight, plain: nn.Module) -> None:
        super().__init__()
        integers = layer.integers()
        scale = layer.weight_scale.clone()
        zero_point = layer.weight_zero_point.long()
        self.register_buffer("integers", integers)
        self.register_buffer("scale", scale)
        self.register_buffer("zero_point", zero_point)

        self.bias = plain.bias
        self._half = 2 ** (layer.weight_bits - 1)
        self._call: Callable[..., Tensor] = nn.functional.linear
        self._options: tuple[Any, ...] = ()

        # what is put around the input first, and which numbers
        self._around: tuple[list[int], str] | None = None
        if isinstance(plain, (nn.Conv1d, nn.Conv2d)):
            self._become_convolution(plain)

    def _become_convolution(self, plain: nn.Conv1d | nn.Conv2d) -> None:
        self._call = nn.functional.conv2d
        if isinstance(plain, nn.Conv1d):
            self._call = nn.functional.conv1d

        pads = padding_of(plain)
        inside = [before for before, _ in pads]
        behind = [after for _, after in pads]

        mode = plain.padding_mode
        if mode != "zeros" or inside != behind:
            # the convolution itself knows zeros only, as many before as after
            numbers = _last_side_first(pads)
            self._around = (numbers, mode.replace("zeros", "constant"))
            inside = [0] * len(pads)

        self._options = (
            plain.stride,
            inside,
            plain.dilation,
            plain.groups,
        )

    def forward(self, x: Tensor) -> Tensor:
        """Output, not rounded."""
        operators = torch.ops.quantized_decomposed
        weight = operators.dequantize_per_channel.default(
            self.integers,
            self.scale,
            self.zero_point,
            0,
            -self._half,
            self._half - 1,
            torch.int8,
        )

        if self._around is not None:
            numbers, mode = self._around
            x = nn.functional.pad(x, numbers, mode=mode)
        return self._call(x, weight, self.bias, *self._options)


def _last_side_first(pads: list[tuple[int, int]]) -> list[int]:
    """What `torch.nn.functional.pad` reads."""
    numbers: list[int] = []
    for before, after in reversed(pads):
        numbers += [before, after]
    return numbers
