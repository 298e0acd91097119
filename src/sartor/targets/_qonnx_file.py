"""Networks as QONNX files: ONNX with ``Quant`` nodes, for integers of any width (Pappalardo 2022).

What FINN asks of them holds for networks of the scheme `sartor.compression.DATAFLOW`: zero points
are 0, activations behind a ReLU unsigned and not narrow, all others signed, weights symmetric with
a scale per output channel, biases nodes of their own, summands of equal types.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import torch
from torch import Tensor, fx, nn

from sartor.compression import ActivationQuantizer, QuantizedWeight, is_quantized
from sartor.compression.modules import with_own_graph
from sartor.errors import UsageError
from sartor.targets._onnx_file import write_model

#: Where QONNX's operators live.
DOMAIN = "qonnx.custom_op.general"


def write_qonnx(
    network: fx.GraphModule,
    inputs: Sequence[Tensor],
    path: Path,
    *,
    metadata: Mapping[str, str] | None = None,
) -> Path:
    """Write a network for the batch of ``inputs``, ``metadata`` as the model's properties.

    Raises `UsageError` for zero points, which engines of FINN do not have, `RunError` for a network
    that ONNX lacks operators for.
    """
    return write_model(
        _with_quant_nodes(network, path),
        inputs,
        path,
        named=network,
        extra="qonnx",
        metadata=metadata,
        # The exporter warns of a domain that nothing is of.
        domains={DOMAIN: 1} if is_quantized(network) else {},
        known=(DOMAIN,),
    )


def _with_quant_nodes(network: fx.GraphModule, path: Path) -> fx.GraphModule:
    """The same network, whose quantizers and layers trace to ``Quant`` nodes."""
    ready, _ = with_own_graph(network)
    # What two tensors share stands in the network under two names.
    for name, module in list(network.named_modules(remove_duplicate=False)):
        if isinstance(module, ActivationQuantizer):
            ready.set_submodule(name, _RoundedActivation(module, f"{path}: {name}"))
        elif isinstance(module, QuantizedWeight):
            layer = _RoundedLayer(network.get_submodule(name), f"{path}: {name}")
            ready.set_submodule(name, layer)
    ready.recompile()
    return ready


@dataclass(frozen=True)
class _Integers:
    """What numbers a ``Quant`` node rounds to.

    Attributes:
        bits: How many they have.
        signed: Whether some are negative.
        narrow: Whether there are as many negative as positive ones.
    """

    bits: int
    signed: bool
    narrow: bool = False


class _RoundedActivation(nn.Module):
    """Rounds what flows through."""

    def __init__(self, quantizer: ActivationQuantizer, place: str) -> None:
        super().__init__()
        zero_point = int(quantizer.zero_point)
        half = 2 ** (quantizer.bits - 1)
        if zero_point not in (0, half):
            raise UsageError(
                f"{place} has the zero point {zero_point}; engines of an FPGA have none: search "
                "with --target fpga:DEVICE, whose numbers are such"
            )
        # Half of all numbers lie below zero: these are signed ones.
        self._integers = _Integers(quantizer.bits, signed=zero_point == half)
        self.register_buffer("scale", quantizer.scale.detach().clone())

    def forward(self, x: Tensor) -> Tensor:
        """The rounded tensor."""
        scale = cast("Tensor", self.scale)
        return _quant(x, scale, self._integers)


class _RoundedLayer(nn.Module):
    """A layer whose weight is rounded in the graph, and whose bias is added behind it."""

    def __init__(self, layer: nn.Module, place: str) -> None:
        super().__init__()
        assert isinstance(layer, QuantizedWeight)
        if layer.weight_zero_point.any():
            raise UsageError(
                f"{place} has weights with zero points; engines of an FPGA have none: search with "
                "--target fpga:DEVICE, whose weights are symmetric"
            )
        self._integers = _Integers(layer.weight_bits, signed=True, narrow=True)
        self._layer = layer
        self._is_linear = isinstance(layer, nn.Linear)
        weight = layer.rounded().detach()
        scale = layer.weight_scale.detach().view(-1, *[1] * (weight.dim() - 1))
        # FINN multiplies by what stands in the file, without turning it round.
        self.register_buffer("weight", weight.t().contiguous() if self._is_linear else weight)
        self.register_buffer("scale", scale.t().contiguous() if self._is_linear else scale)

    def forward(self, x: Tensor) -> Tensor:
        """Output, not rounded."""
        layer: Any = self._layer
        weight = cast("Tensor", self.weight)
        scale = cast("Tensor", self.scale)
        rounded = _quant(weight, scale, self._integers)
        if self._is_linear:
            output = x.matmul(rounded)
            return output if layer.bias is None else output + layer.bias

        output = layer._conv_forward(x, rounded, None)
        if layer.bias is None:
            return output
        axes = [1] * len(layer.kernel_size)
        return output + layer.bias.view(1, -1, *axes)


def _quant(x: Tensor, scale: Tensor, integers: _Integers) -> Tensor:
    """What is rounded to integers times a scale, as a node of the graph."""
    node: Tensor = _Quant.apply(x, scale, integers)  # type: ignore[no-untyped-call]
    return node


class _Quant(torch.autograd.Function):
    """The operator ``Quant`` of QONNX, without a zero point."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, scale: Tensor, integers: _Integers) -> Tensor:  # noqa: ARG004
        """What is given: the network is only traced."""
        return x.clone()

    @staticmethod
    def symbolic(g: Any, x: Any, scale: Any, integers: _Integers) -> Any:
        """The node, with its constants."""
        zero_point = g.op("Constant", value_t=torch.tensor(0.0))
        width = g.op("Constant", value_t=torch.tensor(float(integers.bits)))
        node = g.op(
            f"{DOMAIN}::Quant",
            x,
            scale,
            zero_point,
            width,
            signed_i=int(integers.signed),
            narrow_i=int(integers.narrow),
            rounding_mode_s="ROUND",
        )
        return node.setType(x.type())
