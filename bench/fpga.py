"""Estimates of designs for FPGAs beside published ones: which were fitted to, which held out.

python bench/fpga.py

All rows are CNV-W1A1 (six convolutions, three linear layers) on CIFAR-10. Foldings A to D, their
look-up tables, blocks and latency are of ``ronivolshtein/finn-cnv-accelerator-project335`` (RTL
simulation and routed out of context, FINN 0.10, a Zynq-7020 at 100 MHz); the merged build of
pull request 209 of Xilinx/finn has folding A; the one with the fewest multipliers is of the
island-flow notes of ``lstasytis/finn`` (a few layers of it work on two to four inputs at a time,
which ones is not said, so that its blocks are left out). None of them is peer-reviewed.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import nn

from sartor.graph import trace
from sartor.targets.fpga import UNIT_LUT as UNIT
from sartor.targets.fpga import Dataflow, Folding, Shape, Taken, stream, taken_by

CLOCK = 100e6
#: What a published design is compared in.
QUANTITIES = ("fps", "latency ms", "LUT", "BRAM18")


@dataclass(frozen=True)
class Published:
    """A design that was built.

    Attributes:
        name: What it is called here.
        foldings: Outputs and inputs that each layer works on at a time.
        found: What was published, in the order of `QUANTITIES`; None where nothing was.
        fitted: Whether constants of the estimates were fitted to it.
    """

    name: str
    foldings: Sequence[tuple[int, int]]
    found: tuple[float | None, ...]
    fitted: bool


CONVOLUTIONS = [(16, 3), (32, 32), (16, 32), (16, 32), (4, 32), (1, 32)]
A = [*CONVOLUTIONS, (1, 4), (1, 8), (5, 1)]
B = [*CONVOLUTIONS, (1, 8), (1, 8), (5, 1)]
C = [*CONVOLUTIONS, (1, 8), (1, 16), (5, 1)]
D = [(32, 3), *CONVOLUTIONS[1:], (1, 8), (1, 16), (5, 1)]
ROWS = [
    Published("A", A, (2254.6, 1.3596, 20466, 196), fitted=True),
    Published("B", B, (3220.6, 1.1961, 20499, 196), fitted=True),
    Published("C", C, (3220.6, 1.0326, 20607, 196), fitted=True),
    Published("D", D, (3329.5, 1.0147, 21886, 198), fitted=True),
    Published("pull request 209", A, (None, None, 21135, 205), fitted=False),
    Published("one by one", [(1, 1)] * 9, (None, None, 13400, None), fitted=True),
]


def main() -> None:
    """Print the table."""
    print("design            used    ", *(f"{name:>32}" for name in QUANTITIES))
    for row in ROWS:
        estimated = estimate(row.foldings)
        cells = [_cell(*pair) for pair in zip(estimated, row.found, strict=True)]
        used = "fitted" if row.fitted else "held out"
        print(f"{row.name:<17} {used:<8}", *(f"{cell:>32}" for cell in cells))


def estimate(foldings: Sequence[tuple[int, int]]) -> tuple[float, ...]:
    """The quantities of CNV-W1A1 at some foldings."""
    dataflow, shapes = _cnv()
    taken: list[Taken] = []
    for engine, shape, (pe, simd) in zip(dataflow.engines, shapes, foldings, strict=True):
        folding = Folding.of(engine, shape, pe=pe, simd=simd, window_simd=min(simd, shape.inputs))
        taken.append(taken_by(engine, shape, folding))

    cycles = np.array([[item.cycles for item in taken]])
    (end,), _ = stream(dataflow, cycles)
    lut = sum(item.lut + item.multiplier_lut for item in taken) + UNIT * dataflow.units
    bram = sum(item.bram for item in taken)
    return CLOCK / cycles.max(), 1e3 * end / CLOCK, lut, bram


def _cell(estimated: float, found: float | None) -> str:
    if found is None:
        return f"{estimated:,.4g}"
    return f"{estimated:,.4g} / {found:,.4g} = {estimated / found:.2f}"


def _cnv() -> tuple[Dataflow, list[Shape]]:
    widths = [3, 64, 64, 128, 128, 256, 256]
    layers: list[nn.Module] = []
    for number, (before, after) in enumerate(itertools.pairwise(widths)):
        layers += [nn.Conv2d(before, after, 3, bias=False), nn.ReLU()]
        if number in (1, 3):
            layers.append(nn.MaxPool2d(2))
    layers += [nn.Flatten(), nn.Linear(256, 512), nn.ReLU(), nn.Linear(512, 512), nn.ReLU()]
    network = trace(nn.Sequential(*layers, nn.Linear(512, 10)), torch.zeros(1, 3, 32, 32))
    shapes = [Shape(item.in_channels, item.out_channels, 1, 1) for item in network.layers]
    # Images come in 8 bits.
    shapes[0] = Shape(3, 64, 1, 8)
    return Dataflow.of(network.module, network.layers), shapes


if __name__ == "__main__":
    main()
