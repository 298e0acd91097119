"""The design of one network, engine by engine."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

from sartor.budget import RESOURCES
from sartor.machine import IntArray
from sartor.targets._design import Design, EngineDesign
from sartor.targets.fpga._engines import COARSEST, FINEST, Shape
from sartor.targets.fpga._estimate import SHOWN, Estimates
from sartor.targets.fpga._estimator import Estimator
from sartor.targets.fpga._units import taken_by


def describe_design(
    estimator: Estimator, estimates: Estimates, names: Sequence[str], rows: IntArray
) -> Design:
    """The only design of some estimates.

    ``rows`` are inputs, outputs, weight bits and activation bits of its layers, (layers, 4).
    """
    step = int(estimates.step[0])
    engines = []
    for column, (name, row) in enumerate(zip(names, rows.tolist(), strict=True)):
        inputs, outputs, *bits = row
        shape = Shape(inputs, outputs, *(min(FINEST, max(COARSEST, width)) for width in bits))
        in_dsp = bool(estimates.in_dsp[0, column])
        engine = _engine(estimator, name, column, shape=shape, step=step, in_dsp=in_dsp)
        engines.append(engine)

    device = estimator.device
    return Design(
        part=device.part,
        clock_mhz=device.clock_mhz,
        has={name: float(getattr(device, name)) for name in RESOURCES},
        estimates={name: estimates.band(name) for name in SHOWN},
        engines=tuple(engines),
    )


def _engine(
    estimator: Estimator, name: str, column: int, *, shape: Shape, step: int, in_dsp: bool
) -> EngineDesign:
    folding = estimator.folding(column, shape, step)
    taken = taken_by(estimator.dataflow.engines[column], shape, folding)
    return EngineDesign(
        name=name,
        **dataclasses.asdict(shape),
        pe=folding.pe,
        simd=folding.simd,
        cycles=folding.cycles,
        lut=round(taken.lut + (0.0 if in_dsp else taken.multiplier_lut)),
        bram=round(taken.bram),
        dsp=round(taken.dsp) if in_dsp else 0,
    )
