"""Networks as ONNX files: what onnxruntime and OpenVINO read."""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, fx

from sartor._files import write_atomically
from sartor._optional import require

#: Versions that both runtimes read and whose QuantizeLinear has an axis.
_OPSET = 17


def write_onnx(
    network: fx.GraphModule,
    inputs: Sequence[Tensor],
    path: Path,
    *,
    dynamic_batch: bool = False,
    metadata: Mapping[str, str] | None = None,
) -> Path:
    """Write a network; fake quantization becomes QuantizeLinear and DequantizeLinear, weights are stored as integers."""
    require("onnx", extra="onnxruntime")
    write_atomically(path, lambda temporary: _export(network, tuple(inputs), temporary, dynamic_batch, dict(metadata or {})))
    return path


def _export(
    network: fx.GraphModule, inputs: tuple[Tensor, ...], path: Path, dynamic_batch: bool, metadata: dict[str, str]
) -> None:
    import onnx

    names = [f"input_{index}" for index in range(len(inputs))] if len(inputs) > 1 else ["input"]
    axes = {name: {0: "batch"} for name in (*names, "output")} if dynamic_batch else None
    with torch.no_grad(), warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the exporter is called deprecated, and is twenty times faster than its successor
        torch.onnx.export(
            network, inputs, path, opset_version=_OPSET, dynamo=False, input_names=names, output_names=["output"],
            dynamic_axes=axes,
        )  # fmt: skip
    model = onnx.load(path)
    _store_integers(model)
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
        elif node.op_type == "Identity" and node.input[0] in tensors:  # equal tensors are stored once
            tensors[node.output[0]] = tensors[node.input[0]]
    for node in [node for node in graph.node if node.op_type == "QuantizeLinear" and node.input[0] in weights]:
        weight, scale, zero = (numpy_helper.to_array(tensors[name]) for name in node.input)
        shape = [-1 if axis == _axis(node) and scale.ndim else 1 for axis in range(weight.ndim)]
        limits = np.iinfo(zero.dtype)
        rounded = np.rint(weight / scale.reshape(shape)) + zero.reshape(shape)
        graph.initializer.append(numpy_helper.from_array(rounded.clip(limits.min, limits.max).astype(zero.dtype), node.output[0]))
        graph.node.remove(node)
    used = {name for node in graph.node for name in node.input}
    for item in [item for item in graph.initializer if item.name not in used]:
        graph.initializer.remove(item)


def _axis(node: Any) -> int:
    return next((attribute.i for attribute in node.attribute if attribute.name == "axis"), 1)
