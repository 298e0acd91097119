"""Designs of a network's policies on a device: each folded for a rate, or the fastest that fits."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal, get_args

import numpy as np

from sartor.machine import BoolArray, FloatArray, IntArray
from sartor.targets.fpga._dataflow import Dataflow
from sartor.targets.fpga._device import FpgaDevice
from sartor.targets.fpga._engines import COARSEST, FINEST, Engine, Shape
from sartor.targets.fpga._estimate import Estimates, caution
from sartor.targets.fpga._folding import Folding, fold
from sartor.targets.fpga._formulas import buffer_blocks
from sartor.targets.fpga._streaming import WAITING_BITS, stream
from sartor.targets.fpga._units import UNIT_LUT, Taken, taken_by

#: What multiplies: look-up tables, DSP slices, or the slices where these spare most tables.
Multipliers = Literal["auto", "lut", "dsp"]
MULTIPLIERS: tuple[Multipliers, ...] = get_args(Multipliers)

#: Cycles that are folded for where no rate is asked: from the fewest to the most, each a little
#: more than the one before.
_CYCLES = 2.0 ** np.arange(7, 27, 0.5)
#: Columns of what is tabulated of a layer.
_COLUMNS = ("cycles", "lut", "multiplier_lut", "dsp", "bram")


@dataclass(frozen=True)
class Aim:
    """What designs are folded for.

    Attributes:
        fps: Frames a second that they have to give; None for as many as fit.
        ceilings: What they may take at most of lut, bram and dsp.
    """

    fps: float | None
    ceilings: Mapping[str, float]


class Estimator:
    """Designs of a network on a device; what is known of layers is kept.

    ``aim`` says what they are folded for, ``multipliers`` what multiplies.
    """

    def __init__(
        self,
        dataflow: Dataflow,
        device: FpgaDevice,
        aim: Aim,
        multipliers: Multipliers = "auto",
    ) -> None:
        self.dataflow = dataflow
        self.device = device
        self.aim = aim
        self.multipliers = multipliers
        self._clock = 1e6 * device.clock_mhz
        self._cycles = _CYCLES
        if aim.fps is not None:
            # The rate has to hold at the worse end of its band too.
            self._cycles = np.array([self._clock / aim.fps * caution("fps")])
        self._tables: dict[tuple[Engine, Shape], FloatArray] = {}

    def estimate(
        self,
        inputs: FloatArray | IntArray,
        outputs: FloatArray | IntArray,
        weight_bits: IntArray,
        activation_bits: IntArray,
    ) -> Estimates:
        """Designs of many policies, from channels and bits of layers, all (policies, layers).

        What is not quantized is taken to have 8 bits.
        """
        columns = np.stack([inputs, outputs, weight_bits, activation_bits], axis=2)
        shapes: IntArray = np.rint(columns).astype(np.int64)
        shapes[:, :, 2:] = np.clip(shapes[:, :, 2:], COARSEST, FINEST)
        taken = self._taken(shapes)

        in_dsp = self._in_dsp(taken)
        lut = taken["lut"] + np.where(in_dsp, 0.0, taken["multiplier_lut"])
        dsp = np.where(in_dsp, taken["dsp"], 0.0)
        totals = {
            "lut": lut.sum(1) + UNIT_LUT * self.dataflow.units,
            "bram": taken["bram"].sum(1),
            "dsp": dsp.sum(1),
        }
        step = self._step(totals)

        rows = np.arange(len(shapes))
        cycles = taken["cycles"][rows, :, step]
        end, waiting = stream(self.dataflow, cycles)
        chosen = {name: values[rows, step] for name, values in totals.items()}
        chosen["bram"] = chosen["bram"] + self._queues(shapes, waiting)
        return Estimates(
            fps=self._clock / cycles.max(1),
            latency=end / self._clock,
            cycles=cycles,
            in_dsp=in_dsp[rows, :, step],
            step=step,
            **chosen,
        )

    def folding(self, layer: int, shape: Shape, step: int) -> Folding:
        """How the engine of a layer is folded for one of the numbers of cycles."""
        return fold(self.dataflow.engines[layer], shape, float(self._cycles[step]))

    def _taken(self, shapes: IntArray) -> dict[str, FloatArray]:
        """Each column (policies, layers, numbers of cycles)."""
        by_layer = []
        for layer in range(shapes.shape[1]):
            distinct, place = np.unique(shapes[:, layer], axis=0, return_inverse=True)
            tables = [self._table(layer, Shape(*map(int, row))) for row in distinct]
            by_layer.append(np.stack(tables)[place.ravel()])
        found = np.stack(by_layer, axis=1)
        return {name: found[:, :, index] for index, name in enumerate(_COLUMNS)}

    def _table(self, layer: int, shape: Shape) -> FloatArray:
        """Columns of a layer at every number of cycles (columns, numbers)."""
        engine = self.dataflow.engines[layer]
        # Layers that are alike have the same engine.
        key = (engine, shape)
        if key not in self._tables:
            rows = [_row(engine, shape, float(most)) for most in self._cycles]
            self._tables[key] = np.array(rows).T
        return self._tables[key]

    def _in_dsp(self, taken: dict[str, FloatArray]) -> BoolArray:
        """Which layers DSP slices multiply in (policies, layers, numbers of cycles)."""
        slices = taken["dsp"]
        if self.multipliers == "lut":
            return np.zeros(slices.shape, dtype=np.bool_)
        if self.multipliers == "dsp":
            return np.ones(slices.shape, dtype=np.bool_)

        # Where a slice spares most tables first, as long as there are slices.
        spared = taken["multiplier_lut"] / slices
        order = np.argsort(-spared, axis=1, kind="stable")
        used = np.take_along_axis(slices, order, axis=1).cumsum(1)
        chosen = used <= self.aim.ceilings["dsp"]
        in_dsp = np.empty(slices.shape, dtype=np.bool_)
        np.put_along_axis(in_dsp, order, chosen, axis=1)
        return in_dsp

    def _step(self, totals: Mapping[str, FloatArray]) -> IntArray:
        """The fewest cycles at which each design fits, or takes least (policies,)."""
        shares = []
        for name, values in totals.items():
            ceiling = self.aim.ceilings[name]
            shares.append(values * caution(name) / max(ceiling, 1e-9))
        largest = np.max(shares, axis=0)
        fits = largest <= 1
        return np.where(fits.any(1), fits.argmax(1), largest.argmin(1))

    def _queues(self, shapes: IntArray, waiting: FloatArray) -> FloatArray:
        """Blocks in which streams wait for the other summand (policies,)."""
        found = np.zeros(len(shapes))
        layers = [stage.sized_like for stage in self.dataflow.stages]
        joins = [layer for layer in layers if layer is not None]
        for layer, shares in zip(joins, waiting.T, strict=True):
            numbers = self.dataflow.engines[layer].pixels * shapes[:, layer, 1]
            bits = numbers * shares * WAITING_BITS
            found += [buffer_blocks(float(held)) for held in bits]
        return found


def _row(engine: Engine, shape: Shape, most_cycles: float) -> list[float]:
    folding = fold(engine, shape, most_cycles)
    taken: Taken = taken_by(engine, shape, folding)
    return [getattr(taken, name) for name in _COLUMNS]
