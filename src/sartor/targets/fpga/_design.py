"""A design as a JSON file: what each engine is folded into, and what all of it takes."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Sequence
from typing import Any

from sartor.machine import IntArray
from sartor.targets.fpga._engines import COARSEST, FINEST, Shape
from sartor.targets.fpga._estimate import SHOWN, Estimates
from sartor.targets.fpga._estimator import Estimator
from sartor.targets.fpga._units import taken_by


def design(
    estimator: Estimator, estimates: Estimates, names: Sequence[str], rows: IntArray
) -> dict[str, Any]:
    """The only design of some estimates, as plain values.

    ``rows`` are inputs, outputs, weight bits and activation bits of its layers, (layers, 4).
    """
    device = estimator.device
    step = int(estimates.step[0])
    layers = []
    for column, (name, row) in enumerate(zip(names, rows.tolist(), strict=True)):
        inputs, outputs, *bits = row
        shape = Shape(inputs, outputs, *(min(FINEST, max(COARSEST, width)) for width in bits))
        in_dsp = bool(estimates.in_dsp[0, column])
        engine = _engine(estimator, column, shape, step, in_dsp=in_dsp)
        layers.append({"name": name, **engine})

    slowest = max(layers, key=lambda layer: float(layer["cycles"]))
    return {
        "estimated": True,
        "device": dataclasses.asdict(device),
        "estimates": {name: dataclasses.asdict(estimates.band(name)) for name in SHOWN},
        "slowest": slowest["name"],
        "layers": layers,
    }


def design_text(content: dict[str, Any]) -> str:
    """As it stands in a file."""
    return json.dumps(content, indent=1) + "\n"


def _engine(
    estimator: Estimator, column: int, shape: Shape, step: int, *, in_dsp: bool
) -> dict[str, Any]:
    folding = estimator.folding(column, shape, step)
    taken = taken_by(estimator.dataflow.engines[column], shape, folding)
    return {
        **dataclasses.asdict(shape),
        "pe": folding.pe,
        "simd": folding.simd,
        "cycles": folding.cycles,
        "lut": round(taken.lut + (0.0 if in_dsp else taken.multiplier_lut)),
        "bram": round(taken.bram),
        "dsp": round(taken.dsp) if in_dsp else 0,
    }
