"""The engines of a design, as rows of a table: what each takes, and which all others wait for."""

from __future__ import annotations

from sartor.targets import Design

#: Behind the names of engines.
HEADINGS = ("channels", "bits", "at a time", "cycles", "LUT", "BRAM", "DSP")
#: Quantities of a device, in the order of the last headings.
_RESOURCES = ("lut", "bram", "dsp")


def engine_rows(design: Design) -> dict[str, list[str]]:
    """Cells of every engine by its name, then of the whole design and of the device.

    Bits are those of weights and of activations, what is worked on at a time outputs and inputs.
    """
    rows = {}
    for engine in design.engines:
        name = engine.name
        if engine is design.slowest:
            name = f"{engine.name} (slowest)"
        rows[name] = [
            f"{engine.inputs} → {engine.outputs}",
            f"{engine.weight_bits}/{engine.activation_bits}",
            f"{engine.pe} × {engine.simd}",
            f"{engine.cycles:,}",
            f"{engine.lut:,}",
            f"{engine.bram:,}",
            f"{engine.dsp:,}",
        ]

    estimated = [f"{design.estimates[name].value:,.0f}" for name in _RESOURCES]
    rows["all, estimated"] = ["", "", "", f"{design.slowest.cycles:,}", *estimated]
    has = [f"{design.has[name]:,.0f}" for name in _RESOURCES]
    rows[design.part] = ["", "", "", "", *has]
    return rows
