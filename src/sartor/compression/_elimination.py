"""Backward elimination: units of a group given up one after the other, by least error."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from sartor.compression.modules import weight_of
from sartor.compression.refitting import Refitter, as_matrix, columns_of, damped
from sartor.graph import Group, Network
from sartor.machine import FloatArray, IntArray

#: At most this many removals per group are decided one after the other; wider groups give up
#: several units at once.
_STEPS = 64


class Voter:
    """One reading layer's view of the elimination.

    Holds the inverse of its Gram matrix and the compensated weights of what is left (block-wise
    optimal brain surgeon; Hassibi & Stork 1993).
    """

    def __init__(self, network: Network, refitter: Refitter, group: Group, layer: str) -> None:
        module = network.module.get_submodule(layer)
        weight = weight_of(module)
        slot = network.slot_by_name[layer]
        units = slot.in_heads if group.of_heads else slot.in_units
        taps = weight[0, 0].numel()
        #: Columns of each unit, (units, columns).
        self.blocks = _columns_of_units(group, units, taps).to(weight.device)

        # With the ridge of the later fit, without which few samples have no inverse.
        gram, _ = refitter.gram(layer)
        self.inverse = torch.linalg.inv(damped(gram, refitter.ridge))

        # Squared errors of outputs are weighted by their sensitivity.
        sensitivity = refitter.calibration.sensitivity[layer]
        by_output = sensitivity.sqrt()[:, None]
        self.weight = as_matrix(weight) * by_output

    def increase(self, alive: Tensor) -> Tensor:
        """Error increase for the removal of each unit that is left.

        In mean squared change of the network's outputs.
        """
        blocks = self.blocks[alive]
        # Of the inverse, the square of rows and columns that belong to each unit.
        rows = blocks[:, :, None]
        columns = blocks[:, None, :]
        inner = self.inverse[rows, columns]

        # (units, columns of a unit, outputs)
        own = self.weight[:, blocks].permute(1, 2, 0)
        solved = torch.linalg.solve(inner, own)
        products = own * solved
        return products.sum((1, 2))

    def remove(self, units: Tensor) -> None:
        """Take units out and let the remaining weights adapt."""
        columns = self.blocks[units].flatten()
        rows = self.inverse[columns]
        inner = rows[:, columns]
        across = torch.linalg.solve(inner, rows)

        lost = self.weight[:, columns]
        self.weight -= lost @ across
        reached = self.inverse[:, columns]
        self.inverse -= reached @ across

        # Zero already, but for rounding.
        self.weight[:, columns] = 0


def eliminate(
    size: int, voters: list[Voter], magnitude: FloatArray | None
) -> tuple[list[int], FloatArray]:
    """Units in order of removal, and the accumulated error with 0 … ``size`` units left.

    With a ``magnitude`` for each unit the smallest goes first, else the one that adds least error.
    """
    alive = torch.arange(size)
    removed: list[int] = []
    curve = np.zeros(size + 1)
    total = 0.0

    # Rounded up, so that there are no more than so many steps.
    step = -(-size // _STEPS)
    while len(alive) > 1:
        increases = [voter.increase(alive) for voter in voters]
        # At once, for what is decided by them is decided on the CPU.
        increase = torch.stack(increases).sum(0).cpu()
        score = increase
        if magnitude is not None:
            score = torch.from_numpy(magnitude)[alive]

        # One stays: a layer without channels is none.
        count = min(step, len(alive) - 1)
        chosen = score.argsort(stable=True)[:count]
        for index in chosen.tolist():
            # Rounding may make an increase negative; errors never fall.
            total += max(0.0, float(increase[index]))
            removed.append(int(alive[index]))
            curve[size - len(removed)] = total

        units = alive[chosen]
        for voter in voters:
            voter.remove(units)
        is_gone = torch.isin(alive, units)
        alive = alive[~is_gone]

    removed.append(int(alive[0]))
    return removed, curve


def _columns_of_units(group: Group, units: IntArray, taps: int) -> Tensor:
    """Columns of each unit of a group, (units, columns), in a layer that reads ``units``."""
    blocks = []
    for unit in group.units:
        channels = np.flatnonzero(units == unit)
        columns = columns_of(channels, len(units), taps)
        blocks.append(columns)
    return torch.stack(blocks)
