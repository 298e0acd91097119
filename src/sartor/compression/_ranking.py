"""The order in which the units of a group are given up, and the error this causes in the layers that read them."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from sartor.compression._options import Selection
from sartor.compression.modules import weight_of
from sartor.compression.refitting import Refitter, as_matrix, columns_of
from sartor.graph import Group, Network
from sartor.machine import BoolArray, FloatArray, IntArray

#: At most this many removals per group are decided one after the other; wider groups give up several units at once.
_STEPS = 64


@dataclass(frozen=True, eq=False)
class Ranking:
    """For every group: its units, best first, and the error with the first k of them kept.

    ``errors[group][k]`` for k = 0 … size: reconstruction error of the refitted layers that read the group, weighted by how
    much it changes the network's outputs (an estimate of their mean squared change); 0 at k = size, infinite at k = 0.
    """

    order: dict[str, IntArray]
    errors: dict[str, FloatArray]

    def kept(self, network: Network, counts: dict[str, int]) -> BoolArray:
        """One flag per unit, with the best ``counts[group]`` units of every group kept (all where a group is absent)."""
        kept = np.ones(network.units, dtype=np.bool_)
        for name, count in counts.items():
            kept[self.order[name][count:]] = False
        return kept


@torch.no_grad()
def rank(network: Network, refitter: Refitter | None, selection: Selection) -> Ranking:
    """Rank all groups.

    ``magnitude``: ℓ1 norm of the weights that read a unit (AMC's "max response"). ``error``: backward elimination by the
    least increase of the refitted layers' reconstruction error (block-wise optimal brain surgeon on their Gram matrices).
    Layers too wide for a Gram matrix, or that mix no channels, do not vote; a group that no layer can vote on falls back
    to magnitude, and so do all without a ``refitter``.
    """
    order: dict[str, IntArray] = {}
    errors: dict[str, FloatArray] = {}
    for group in network.groups:
        voters = []
        if refitter is not None:
            voters = [
                _Voter(network, refitter, group, name)
                for name in group.consumers
                if refitter.can_solve(name)
            ]
        magnitude = _magnitude(network, group)
        if voters:
            by_magnitude = magnitude if selection == "magnitude" else None
            removed, curve = _eliminate(group.size, voters, by_magnitude)
        else:
            removed = [int(unit) for unit in np.argsort(magnitude, kind="stable")]
            share = np.cumsum(np.square(magnitude[removed])) / max(
                np.square(magnitude).sum(), 1e-30
            )
            curve = [*share[::-1], 0.0]
        order[group.name] = group.units[removed[::-1]]
        errors[group.name] = np.array([np.inf, *curve[1:]])
    return Ranking(order, errors)


def _magnitude(network: Network, group: Group) -> FloatArray:
    score = np.zeros(network.units)
    for name in group.consumers:
        slot, weight = network.slot_by_name[name], weight_of(network.module.get_submodule(name))
        per_channel = (
            weight.abs().flatten(2).sum((0, 2)) if weight.dim() > 2 else weight.abs().sum(0)
        )
        repeated = np.resize(
            per_channel.double().numpy(), len(slot.in_units)
        )  # grouped: every group reads the same slots
        member = slot.in_units >= 0
        np.add.at(score, slot.in_units[member], repeated[member])
    return score[group.units]


class _Voter:
    """One reading layer's view of the elimination: inverse Gram matrix and compensated weights of what is left."""

    def __init__(self, network: Network, refitter: Refitter, group: Group, layer: str) -> None:
        gram, _ = refitter.gram(layer)
        module = network.module.get_submodule(layer)
        slot = network.slot_by_name[layer]
        taps = weight_of(module)[0, 0].numel()
        self.blocks = torch.stack(
            [
                columns_of(np.flatnonzero(slot.in_units == unit), len(slot.in_units), taps)
                for unit in group.units
            ]
        )
        damped = gram.clone()
        damped.diagonal().add_(refitter.ridge * gram.diagonal().mean() + 1e-12)
        self.inverse = torch.linalg.inv(damped)
        self.weight = (
            as_matrix(weight_of(module)) * refitter.calibration.sensitivity[layer].sqrt()[:, None]
        )

    def increase(self, alive: Tensor) -> Tensor:
        """Error increase for the removal of each unit that is left, in mean squared change of the outputs."""
        blocks = self.blocks[alive]
        inner = self.inverse[blocks[:, :, None], blocks[:, None, :]]
        own = self.weight[:, blocks].permute(1, 2, 0)  # unit, block, out
        solved = torch.linalg.solve(inner, own)
        return (own * solved).sum((1, 2))

    def remove(self, units: Tensor) -> None:
        """Take units out and let the remaining weights adapt."""
        columns = self.blocks[units].flatten()
        across = torch.linalg.solve(self.inverse[columns][:, columns], self.inverse[columns])
        self.weight -= self.weight[:, columns] @ across
        self.inverse -= self.inverse[:, columns] @ across
        self.weight[:, columns] = 0


def _eliminate(
    size: int, voters: list[_Voter], magnitude: FloatArray | None
) -> tuple[list[int], list[float]]:
    """Units in order of removal, and the accumulated error with 0 … ``size`` units left."""
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
    return removed, curve.tolist()
