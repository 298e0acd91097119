"""The order in which the units of a group are given up, and the error this causes."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch

from sartor.compression._elimination import Voter, eliminate
from sartor.compression._options import Selection
from sartor.compression.modules import weight_of
from sartor.compression.refitting import Refitter
from sartor.graph import Group, Network
from sartor.machine import BoolArray, FloatArray, IntArray


@dataclass(frozen=True, eq=False)
class Ranking:
    """The order in which units are given up.

    Attributes:
        order: For every group its units, best first.
        errors: For every group, (size + 1,): reconstruction error of the refitted layers that
            read it, with the first k units kept. Weighted by how much it changes the network's
            outputs (an estimate of their mean squared change); 0 at k = size, infinite at k = 0.
    """

    order: dict[str, IntArray]
    errors: dict[str, FloatArray]

    def kept(self, network: Network, counts: dict[str, int]) -> BoolArray:
        """One flag per unit, with the best ``counts[group]`` units of every group kept.

        All are where a group is absent.
        """
        kept = np.ones(network.units, dtype=np.bool_)
        for name, count in counts.items():
            removed = self.order[name][count:]
            kept[removed] = False
        return kept


@torch.no_grad()
def rank(network: Network, refitter: Refitter | None, selection: Selection) -> Ranking:
    """Rank all groups.

    ``magnitude``: ℓ1 norm of the weights that read a unit (AMC's "max response"). ``error``:
    backward elimination by the least increase of the refitted layers' reconstruction error.
    Layers that cannot be refitted do not vote; a group that no layer can vote on falls back to
    magnitude, and so do all without a ``refitter``.
    """
    order: dict[str, IntArray] = {}
    errors: dict[str, FloatArray] = {}
    for group in network.groups:
        magnitude = _magnitude(network, group)
        voters = _voters(network, refitter, group)
        if voters:
            by_magnitude = magnitude if selection == "magnitude" else None
            removed, curve = eliminate(group.size, voters, by_magnitude)
        else:
            removed = np.argsort(magnitude, kind="stable").tolist()
            curve = _share_of_squares(magnitude[removed])

        # Best first is the last removed first.
        best_first = removed[::-1]
        order[group.name] = group.units[best_first]

        # A network without any unit of a group does not exist.
        errors[group.name] = np.array([np.inf, *curve[1:]])

    return Ranking(order, errors)


def _voters(network: Network, refitter: Refitter | None, group: Group) -> list[Voter]:
    if refitter is None:
        return []
    layers = [name for name in group.consumers if refitter.can_solve(name)]
    return [Voter(network, refitter, group, name) for name in layers]


def _share_of_squares(magnitudes: FloatArray) -> FloatArray:
    """With 0 … all units left, the share in the sum of squares of what was removed in order."""
    squares = np.square(magnitudes)
    total = max(squares.sum(), 1e-30)
    removed = np.cumsum(squares) / total
    return np.array([*removed[::-1], 0.0])


def _magnitude(network: Network, group: Group) -> FloatArray:
    """ℓ1 norm of the weights that read each unit, or of those that write it if none read it."""
    score = np.zeros(network.units)
    for name in group.ends:
        module = network.module.get_submodule(name)
        weight = weight_of(module).abs()
        slot = network.slot_by_name[name]
        if group.consumers:
            units = slot.in_heads if group.of_heads else slot.in_units
        else:
            units = slot.out_heads if group.of_heads else slot.out_units
            weight = weight.transpose(0, 1)

        if weight.dim() > 2:
            weight = weight.flatten(2).sum(2)
        sums = weight.sum(0).cpu().double().numpy()

        # Weights of grouped convolutions have the channels of one group; all groups get its sums.
        per_channel = np.resize(sums, len(units))
        is_prunable = units >= 0
        # One unit may be read as several channels, which ``+=`` would count once.
        np.add.at(score, units[is_prunable], per_channel[is_prunable])

    return score[group.units]
