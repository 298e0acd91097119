"""Networks as ONNX files, and what the runtimes that read them have in common."""

from __future__ import annotations

import platform
import warnings
from collections.abc import Mapping, Sequence
from functools import cache, cached_property
from pathlib import Path
from typing import Any
from unittest.mock import patch

import numpy as np
import torch
from torch import Tensor, fx, nn

from sartor.compression import INTEGER, REDUCED, ActivationQuantizer, QuantizedWeight, Scheme
from sartor.errors import UsageError
from sartor.machine import require, write_atomically
from sartor.policy import FULL_WIDTH
from sartor.targets._base import Description, Support, Target
from sartor.targets._exporter_errors import exporter_errors
from sartor.targets._saturation import saturates

#: Versions that both runtimes read and whose QuantizeLinear has an axis.
_OPSET = 17
#: What exported layers become, and the operators that runtimes let their kernels do as well.
_LAYER_OPERATORS, _CLIPPING = ("Conv", "Gemm", "MatMul"), ("Relu", "Clip")
#: Ends the name of what is written by a layer's clipping.
CLIPPED = ":clipped"
#: Ends the name of the addition of a layer's bias, where that is a node of its own.
BIASED = ":biased"
_BITS = 8
_PRECISIONS = ((FULL_WIDTH, FULL_WIDTH), (_BITS, _BITS))


class OnnxTarget(Target):
    """A runtime for ONNX files on this machine's processor: int8 and what it runs otherwise, in any mix of layers."""

    suffix = ".onnx"

    def __init__(self, threads: int, runtime: str) -> None:
        super().__init__(threads)
        self._described = runtime

    @cached_property
    def scheme(self) -> Scheme:
        """Symmetric weights, in half of their range where the kernels here lose large sums."""
        return REDUCED if saturates(self) else INTEGER

    def describe(self) -> Description:
        """The processor here."""
        support = Support(_PRECISIONS)
        kinds = {"conv": support, "linear": support, "depthwise": support}
        return Description(self.name, processor(), self._described, self.threads, kinds)

    def build(self, network: fx.GraphModule, inputs: Sequence[Tensor], path: Path) -> Path:
        """An ONNX file with a free batch size."""
        return write_onnx(network, inputs, path, dynamic_batch=True)


def write_onnx(
    network: fx.GraphModule,
    inputs: Sequence[Tensor],
    path: Path,
    *,
    dynamic_batch: bool = False,
    metadata: Mapping[str, str] | None = None,
) -> Path:
    """Write a network; fake quantization becomes QuantizeLinear and DequantizeLinear, weights are stored as integers.

    Raises `UsageError` for other widths than the 8 bits that these operators have, `RunError` for a network that ONNX lacks
    operators for.
    """
    require("onnx", extra="onnxruntime")
    for name, module in network.named_modules():
        bits = _BITS
        if isinstance(module, QuantizedWeight):
            bits = module.weight_bits
        elif isinstance(module, ActivationQuantizer):
            bits = module.bits
        if bits != _BITS:
            raise UsageError(
                f"{path}: {name} has {bits} bits, an ONNX file holds {_BITS}; sartor.load and pt2 hold every width"
            )
    write_atomically(
        path,
        lambda temporary: _export(
            network, tuple(inputs), temporary, dynamic_batch, dict(metadata or {})
        ),
    )
    return path


def _export(
    network: fx.GraphModule,
    inputs: tuple[Tensor, ...],
    path: Path,
    dynamic_batch: bool,
    metadata: dict[str, str],
) -> None:
    import onnx

    names = [f"input_{index}" for index in range(len(inputs))] if len(inputs) > 1 else ["input"]
    axes = {name: {0: "batch"} for name in (*names, "output")} if dynamic_batch else None
    unlogged = patch.object(
        torch._C, "_jit_onnx_log", lambda *_: None, create=True
    )  # of the whole graph, before it fails
    with exporter_errors("ONNX"), torch.no_grad(), unlogged, warnings.catch_warnings():
        warnings.simplefilter(
            "ignore"
        )  # the exporter is called deprecated, and is twenty times faster than its successor
        torch.onnx.export(
            network,
            inputs,
            path,
            opset_version=_OPSET,
            dynamo=False,
            input_names=names,
            output_names=["output"],
            dynamic_axes=axes,
        )
    model = onnx.load(path)
    _store_integers(model)
    _name_layers(model, network)
    onnx.helper.set_model_props(model, metadata)
    onnx.save(model, path)


def _store_integers(model: Any) -> None:
    """Carry out the QuantizeLinear of weights once and for all."""
    from onnx import numpy_helper

    graph = model.graph
    weights = {item.name for item in graph.initializer}
    tensors = {item.name: item for item in graph.initializer}
    for node in graph.node:
        if node.op_type == "Constant":
            tensors[node.output[0]] = node.attribute[0].t
        elif (
            node.op_type == "Identity" and node.input[0] in tensors
        ):  # equal tensors are stored once
            tensors[node.output[0]] = tensors[node.input[0]]
    for node in [
        node for node in graph.node if node.op_type == "QuantizeLinear" and node.input[0] in weights
    ]:
        weight, scale, zero = (numpy_helper.to_array(tensors[name]) for name in node.input)
        shape = [-1 if axis == _axis(node) and scale.ndim else 1 for axis in range(weight.ndim)]
        limits = np.iinfo(zero.dtype)
        rounded = np.rint(weight / scale.reshape(shape)) + zero.reshape(shape)
        graph.initializer.append(
            numpy_helper.from_array(
                rounded.clip(limits.min, limits.max).astype(zero.dtype), node.output[0]
            )
        )
        graph.node.remove(node)
    used = {name for node in graph.node for name in node.input}
    for item in [item for item in graph.initializer if item.name not in used]:
        graph.initializer.remove(item)


def _name_layers(model: Any, network: fx.GraphModule) -> None:
    """Call nodes of layers, what they write and the clipping behind them after their layers, so that runtimes speak of those.

    What a layer writes keeps its name where the layer's is taken: that of an input, say.
    """
    layers = [
        str(node.target)
        for node in network.graph.nodes
        if node.op == "call_module" and _is_layer(network, node)
    ]
    nodes = [node for node in model.graph.node if node.op_type in _LAYER_OPERATORS]
    if len(layers) != len(nodes) or len(set(layers)) != len(layers):
        return
    results, taken = {item.name for item in model.graph.output}, _names(model)
    for layer, node in zip(layers, nodes, strict=True):
        node.name = layer
        bias = _bias_after(model, node)
        if bias is not None:
            bias.name = f"{layer}{BIASED}"
        readers = _rename(model, results, taken, bias or node, layer)
        if len(readers) == 1 and readers[0].op_type in _CLIPPING:
            readers[0].name = f"{layer}{CLIPPED}"
            _rename(model, results, taken, readers[0], f"{layer}{CLIPPED}")


def _bias_after(model: Any, node: Any) -> Any | None:
    """The addition of a constant that a linear layer on several positions ends with."""
    readers = [reader for reader in model.graph.node if node.output[0] in reader.input]
    constants = {item.name for item in model.graph.initializer}
    is_bias = (
        len(readers) == 1
        and readers[0].op_type == "Add"
        and constants.intersection(readers[0].input)
    )
    return readers[0] if node.op_type == "MatMul" and is_bias else None


def _names(model: Any) -> set[str]:
    """Of all tensors."""
    graph = model.graph
    given = {item.name for item in (*graph.input, *graph.output, *graph.initializer)}
    return given.union(written for node in graph.node for written in node.output)


def _rename(model: Any, results: set[str], taken: set[str], node: Any, name: str) -> list[Any]:
    """Give what a node writes a name, unless that is taken or this is a result of the network; return its readers."""
    old = node.output[0]
    readers = [reader for reader in model.graph.node if old in reader.input]
    if name not in taken and old not in results:
        node.output[0] = name
        taken.add(name)
        for reader in readers:
            for index, item in enumerate(reader.input):
                if item == old:
                    reader.input[index] = name
    return readers


def _is_layer(network: fx.GraphModule, node: fx.Node) -> bool:
    return isinstance(network.get_submodule(str(node.target)), (nn.Conv1d, nn.Conv2d, nn.Linear))


def _axis(node: Any) -> int:
    return next((attribute.i for attribute in node.attribute if attribute.name == "axis"), 1)


@cache
def processor() -> str:
    """Name of this machine's processor."""
    path = Path("/proc/cpuinfo")
    if path.exists():
        for line in path.read_text(encoding="utf-8").splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor() or platform.machine()
