"""What is changed in an ONNX file after it was traced."""

from __future__ import annotations

from typing import Any

import numpy as np

from sartor.targets._padding import same_padding


def explicit_pads(model: Any) -> None:
    """Say in numbers what convolutions pad to keep their size.

    ONNX Runtime knows ``auto_pad`` without dilations only.
    """
    for node in model.graph.node:
        if node.op_type == "Conv":
            _make_pads_explicit(node)


def _make_pads_explicit(node: Any) -> None:
    from onnx import helper

    attributes = {item.name: item for item in node.attribute}
    automatic = attributes.get("auto_pad")
    if automatic is None or automatic.s == b"NOTSET":
        return

    kernel = list(attributes["kernel_shape"].ints)
    pads = [(0, 0)] * len(kernel)
    if automatic.s == b"SAME_UPPER":
        dilations = attributes["dilations"].ints
        pads = same_padding(kernel, dilations)
    before = [first for first, _ in pads]
    after = [last for _, last in pads]

    # an attribute may stand in a node once only
    node.attribute.remove(automatic)
    if "pads" in attributes:
        node.attribute.remove(attributes["pads"])

    explicit = helper.make_attribute("pads", before + after)
    node.attribute.append(explicit)


def store_integers(model: Any) -> None:
    """Carry out the QuantizeLinear of weights once and for all."""
    from onnx import numpy_helper

    graph = model.graph
    weights = {item.name for item in graph.initializer}
    tensors = _constants(graph)
    for node in list(graph.node):
        if node.op_type != "QuantizeLinear" or node.input[0] not in weights:
            continue

        arrays = [numpy_helper.to_array(tensors[name]) for name in node.input]
        integers = _rounded(*arrays, axis=_axis(node))
        stored = numpy_helper.from_array(integers, node.output[0])
        graph.initializer.append(stored)
        graph.node.remove(node)
    _remove_unused(graph)


def _rounded(weight: Any, scale: Any, zero: Any, *, axis: int) -> Any:
    """What QuantizeLinear computes: a scale for each along an axis, or one for all."""
    shape = [1] * weight.ndim
    if scale.ndim:
        shape[axis] = -1

    # to even where two integers are equally near, as ONNX says
    steps = np.rint(weight / scale.reshape(shape))
    shifted = steps + zero.reshape(shape)
    limits = np.iinfo(zero.dtype)
    return shifted.clip(limits.min, limits.max).astype(zero.dtype)


def _constants(graph: Any) -> dict[str, Any]:
    """Tensors of a graph that are the same for all inputs, by name."""
    tensors = {item.name: item for item in graph.initializer}
    for node in graph.node:
        if node.op_type == "Constant":
            result = node.output[0]
            tensors[result] = node.attribute[0].t
        elif node.op_type == "Identity":
            # tensors that are equal are stored once, and the others refer to that one
            source = node.input[0]
            if source in tensors:
                tensors[node.output[0]] = tensors[source]
    return tensors


def _remove_unused(graph: Any) -> None:
    used: set[str] = set()
    for node in graph.node:
        used.update(node.input)

    # a list, as removing from what is walked through would skip the next one
    for item in list(graph.initializer):
        if item.name not in used:
            graph.initializer.remove(item)


def _axis(node: Any) -> int:
    """Along which a QuantizeLinear has a scale for each."""
    for attribute in node.attribute:
        if attribute.name == "axis":
            return int(attribute.i)
    return 1
