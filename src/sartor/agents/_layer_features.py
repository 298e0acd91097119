"""What agents are told of a layer, whatever the search."""

from __future__ import annotations

from sartor.graph import LayerSpec


def kind_and_window(layer: LayerSpec) -> list[float]:
    """Whether it is depthwise, whether linear, the size of its kernel, its stride."""
    depthwise = layer.kind == "depthwise"
    linear = layer.kind == "linear"
    kernel = layer.kernel[0]
    stride = layer.stride[0]
    return [float(feature) for feature in (depthwise, linear, kernel, stride)]
