"""The figures of one run: parts of its page, or SVG and PNG files, without a browser."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sartor.machine import require
from sartor.policy import FULL_WIDTH
from sartor.sensitivity import heat_map

if TYPE_CHECKING:
    from sartor.report._style import Chart
    from sartor.runs import Run

#: What each figure shows, by its name.
CAPTIONS = {
    "history": "Reward of every episode, and the best so far.",
    "plane": (
        "Quality against cost of every episode scored in full. "
        "Line: not beaten by any other. Shapes: scored at the end."
    ),
    "channels": "Output channels of every layer, before and after.",
    "macs": "Multiply-accumulates of every layer, before and after.",
    "latency": "Latency of every layer by the runtime's profiler, before and after.",
    "bits": "Bits of the weights of every layer, before and after.",
    "sensitivity": (
        "How far the outputs move when one parameter of one layer is compressed (Ω, nats)."
    ),
}


def figures(run: Run) -> dict[str, Chart]:
    """Charts by name, those for which there is something to draw.

    Raises `MissingPackageError` without altair.
    """
    require("altair", extra="report")
    from sartor.report._charts import by_layer, history, plane

    charts = {
        "history": history(run),
        "plane": plane(run),
    }
    if run.result is not None:
        layers = run.result.layers
        charts["channels"] = by_layer(layers, "out_channels", "output channels")
        charts["macs"] = by_layer(layers, "macs", "multiply-accumulates")

        # Bars that are all alike say nothing: not every target times layers, or has other bits.
        if any(layer.seconds for layer in layers.best):
            charts["latency"] = by_layer(layers, "seconds", "seconds")
        if any(layer.weight_bits < FULL_WIDTH for layer in layers.best):
            charts["bits"] = by_layer(layers, "weight_bits", "bits of the weights")

    if run.sensitivity is not None:
        chart = heat_map(run.sensitivity)
        charts["sensitivity"] = chart.properties(width="container")
    return charts
