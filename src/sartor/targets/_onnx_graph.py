"""What is changed in an ONNX file after it was traced."""

from __future__ import annotations

from typing import Any

import numpy as np

from sartor.targets._padding import same_padding


def explicit_pads(model: Any) -> None:
    """Say in numbers what convolutions pad to keep their size.

    ONNX Runtime knows ``auto_pad`` without dilations only.
    """
    from onnx import helper

    for node in model.graph.node:
        attributes = {item.name: item for item in node.attribute}
        automatic = attributes.get("auto_pad")
        if node.op_type != "Conv" or automatic is None or automatic.s == b"NOTSET":
            continue
        kernel = list(attributes["kernel_shape"].ints)
        pads = [(0, 0)] * len(kernel)
        if automatic.s == b"SAME_UPPER":
            pads = same_padding(kernel, attributes["dilations"].ints)
        before = [first for first, _ in pads]
        after = [last for _, last in pads]
        node.attribute.remove(automatic)
        if "pads" in attributes:
            node.attribute.remove(attributes["pads"])
        node.attribute.append(helper.make_attribute("pads", before + after))


def store_integers(model: Any) -> None:
    """Carry out the QuantizeLinear of weights once and for all."""
    from onnx import numpy_helper

    graph = model.graph
    weights = {item.name for item in graph.initializer}
    tensors = _constants(graph)
    for node in list(graph.node):
        if node.op_type != "QuantizeLinear" or node.input[0] not in weights:
            continue
        weight, scale, zero = (numpy_helper.to_array(tensors[name]) for name in node.input)
        along = _axis(node) if scale.ndim else None
        shape = [-1 if axis == along else 1 for axis in range(weight.ndim)]
        limits = np.iinfo(zero.dtype)
        rounded = np.rint(weight / scale.reshape(shape)) + zero.reshape(shape)
        integers = rounded.clip(limits.min, limits.max).astype(zero.dtype)
        graph.initializer.append(numpy_helper.from_array(integers, node.output[0]))
        graph.node.remove(node)
    _remove_unused(graph)


def _constants(graph: Any) -> dict[str, Any]:
    """Tensors of a graph that are the same for all inputs, by name."""
    tensors = {item.name: item for item in graph.initializer}
    for node in graph.node:
        if node.op_type == "Constant":
            tensors[node.output[0]] = node.attribute[0].t
        elif node.op_type == "Identity" and node.input[0] in tensors:
            tensors[node.output[0]] = tensors[node.input[0]]  # equal tensors are stored once
    return tensors


def _remove_unused(graph: Any) -> None:
    used: set[str] = set()
    for node in graph.node:
        used.update(node.input)
    for item in list(graph.initializer):
        if item.name not in used:
            graph.initializer.remove(item)


def _axis(node: Any) -> int:
    """Along which a QuantizeLinear has a scale for each."""
    for attribute in node.attribute:
        if attribute.name == "axis":
            return int(attribute.i)
    return 1
