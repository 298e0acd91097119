"""Backward elimination: units of a group given up one after the other, by least error."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from sartor.compression.modules import weight_of
from sartor.compression.refitting import Refitter, as_matrix, columns_of, ridge_shift
from sartor.graph import Group, Network
from sartor.machine import FloatArray

#: At most this many removals per group are decided one after the other; wider groups give up
#: several units at once.
_STEPS = 64


class Voter:
    """One reading layer's view of the elimination.

    Holds the inverse of its Gram matrix and the compensated weights of what is left (block-wise
    optimal brain surgeon; Hassibi & Stork 1993).
    """

    def __init__(self, network: Network, refitter: Refitter, group: Group, layer: str) -> None:
        gram, _ = refitter.gram(layer)
        weight = weight_of(network.module.get_submodule(layer))
        units = network.slot_by_name[layer].in_units
        taps = weight[0, 0].numel()
        #: Columns of each unit, (units, columns).
        self.blocks = torch.stack(
            [columns_of(np.flatnonzero(units == unit), len(units), taps) for unit in group.units]
        )
        damped = gram.clone()
        damped.diagonal().add_(ridge_shift(gram, refitter.ridge))
        self.inverse = torch.linalg.inv(damped)
        sensitivity = refitter.calibration.sensitivity[layer]
        self.weight = as_matrix(weight) * sensitivity.sqrt()[:, None]

    def increase(self, alive: Tensor) -> Tensor:
        """Error increase for the removal of each unit that is left.

        In mean squared change of the network's outputs.
        """
        blocks = self.blocks[alive]
        inner = self.inverse[blocks[:, :, None], blocks[:, None, :]]
        own = self.weight[:, blocks].permute(1, 2, 0)  # unit, block, out
        solved = torch.linalg.solve(inner, own)
        return (own * solved).sum((1, 2))

    def remove(self, units: Tensor) -> None:
        """Take units out and let the remaining weights adapt."""
        columns = self.blocks[units].flatten()
        rows = self.inverse[columns]
        across = torch.linalg.solve(rows[:, columns], rows)
        self.weight -= self.weight[:, columns] @ across
        self.inverse -= self.inverse[:, columns] @ across
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
    step = -(-size // _STEPS)
    while len(alive) > 1:
        increase = torch.stack([voter.increase(alive) for voter in voters]).sum(0)
        score = increase if magnitude is None else torch.from_numpy(magnitude)[alive]
        chosen = score.argsort(stable=True)[: min(step, len(alive) - 1)]
        for index in chosen.tolist():
            total += max(0.0, float(increase[index]))
            removed.append(int(alive[index]))
            curve[size - len(removed)] = total
        units = alive[chosen]
        for voter in voters:
            voter.remove(units)
        alive = alive[~torch.isin(alive, units)]
    removed.append(int(alive[0]))
    return removed, curve
