"""ONNX Runtime with a kernel of our own for the bits that it lacks."""

from __future__ import annotations

import math
import platform
from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import cached_property
from pathlib import Path
from typing import Any

from torch import Tensor, fx

from sartor.compression import ActivationQuantizer, QuantizedWeight, Scheme
from sartor.compression.modules import with_own_graph
from sartor.graph import LayerSpec
from sartor.policy import FULL_WIDTH
from sartor.targets._base import Description, Support
from sartor.targets._onnx_file import BITS, write_model
from sartor.targets._onnxruntime import OnnxRuntimeTarget
from sartor.targets.bitserial._layer import DOMAIN, BitSerialLayer
from sartor.targets.bitserial._library import library

_INTEGER = ((FULL_WIDTH, FULL_WIDTH), (BITS, BITS))
_FEW = tuple(
    (weights, activations)
    for weights in range(1, BITS + 1)
    for activations in range(1, BITS + 1)
    if (weights, activations) != (BITS, BITS)
)
#: Products of both bits up to which counting bits can be as fast as multiplying integers: by
#: processor, where it has instructions for products of 8 bits, and else.
_WORTH = {"x86_64": 4}
_WORTH_ELSEWHERE = 9


class BitSerialTarget(OnnxRuntimeTarget):
    """ONNX Runtime, whose int8 and fp32 it runs, and one to eight bits in a kernel of our own.

    The kernel takes convolutions without groups and linear layers; it is compiled for this
    processor when it is needed first. It pays where bits are so few that counting them is faster
    than multiplying integers: with AVX-512 below two, without an int8 dot product to about three.
    """

    name = "onnxruntime-bitserial"
    summary = "ONNX Runtime, with a kernel for 1 to 8 bits"
    formats = ("onnx-bitserial",)

    @cached_property
    def scheme(self) -> Scheme:
        """That of int8; layers of fewer bits write floating point."""
        return replace(super().scheme, floats_below=BITS)

    def describe(self) -> Description:
        """As few bits as can be worth it here, for what the kernel takes."""
        most = _WORTH.get(platform.machine(), _WORTH_ELSEWHERE)
        worth = [pair for pair in _FEW if math.prod(pair) <= most]
        supports = Support.for_all_layers((*_INTEGER, *worth))
        supports["depthwise"] = Support(_INTEGER)
        return replace(super().describe(), supports=supports)

    def precisions(self, layer: LayerSpec) -> tuple[tuple[int, int], ...]:
        """Groups and other than two axes are left to ONNX Runtime."""
        return super().precisions(layer) if _is_taken(layer) else _INTEGER

    def allowed(self, layer: LayerSpec) -> tuple[tuple[int, int], ...]:
        """One to eight bits in any pair."""
        return (*_INTEGER, *_FEW) if _is_taken(layer) else _INTEGER

    def build(self, network: fx.GraphModule, inputs: Sequence[Tensor], path: Path) -> Path:
        """An ONNX file with operators of the domain ``sartor``."""
        return write_bitserial(network, inputs, path, dynamic_batch=True)

    def _options(self, threads: int) -> Any:
        options = super()._options(threads)
        options.register_custom_ops_library(str(library()))
        return options


def _is_taken(layer: LayerSpec) -> bool:
    """Whether the kernel can compute a layer."""
    return layer.groups == 1 and (layer.kind == "linear" or len(layer.kernel) == 2)


def write_bitserial(
    network: fx.GraphModule,
    inputs: Sequence[Tensor],
    path: Path,
    *,
    dynamic_batch: bool = False,
    metadata: Mapping[str, str] | None = None,
) -> Path:
    """Write a network as `write_onnx` does; layers of few bits are operators of ``sartor``.

    Raises `RunError` for a network that ONNX lacks operators for.
    """
    return write_model(
        _with_operators(network),
        inputs,
        path,
        named=network,
        extra="onnxruntime",
        dynamic_batch=dynamic_batch,
        metadata=metadata,
        known=(DOMAIN,),
    )


def _with_operators(network: fx.GraphModule) -> fx.GraphModule:
    """A copy whose layers of few bits round what they read themselves."""
    copied, _ = with_own_graph(network)
    for node in copied.graph.nodes:
        serial = _serial_layer(copied, node)
        if serial is not None:
            (source,) = node.all_input_nodes
            node.replace_input_with(source, *source.all_input_nodes)
            copied.set_submodule(str(node.target), serial)

    # Rounding that nobody reads any more.
    copied.graph.eliminate_dead_code()
    copied.delete_all_unused_submodules()
    copied.recompile()
    return copied


def _serial_layer(network: fx.GraphModule, node: fx.Node) -> BitSerialLayer | None:
    """What takes the place of a layer, if it has few bits."""
    if node.op != "call_module":
        return None
    layer = network.get_submodule(str(node.target))
    if not isinstance(layer, QuantizedWeight):
        return None

    (source,) = node.all_input_nodes
    quantizer = network.get_submodule(str(source.target))
    assert isinstance(quantizer, ActivationQuantizer)
    if min(layer.weight_bits, quantizer.bits) == BITS:
        return None
    return BitSerialLayer(layer, quantizer)
