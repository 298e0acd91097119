"""Finds the operators that cannot follow when tensors get narrower.

Most operators follow when their input gets narrower. Some do not: ``F.pad(x, (0, 0, 0, 0, 8, 8))``,
``x[:, :58]``, ``x.view(b, 2, 58, h, w)``. Each node is tried on labels of a randomly pruned
network; where the labels come out wrong, or the operator fails, it is rigid.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from sartor.graph._axes import Tracked
from sartor.graph._trial import NarrowTrial, Rigid
from sartor.machine import BoolArray, IntArray


def find_rigid(
    tracked: Sequence[Tracked], groups: Sequence[IntArray], units: int, trials: int = 4
) -> Rigid:
    """Nodes that cannot follow narrower tensors, found by trying random prunings of all groups.

    ``units`` is the number of units, in all groups together.
    """
    found = Rigid()
    if not groups:
        return found

    rng = np.random.default_rng(0)
    for draw in [_thirds, *[_different_shares] * (trials - 1)]:
        kept = _random_pruning(groups, units, draw, rng)
        for labels in tracked:
            NarrowTrial(labels, kept, found).run()

    found.resized -= found.nodes
    return found


def _random_pruning(
    groups: Sequence[IntArray],
    units: int,
    draw: Callable[[Sequence[IntArray], np.random.Generator], list[int]],
    rng: np.random.Generator,
) -> BoolArray:
    """Whether each unit is kept where some of every group are removed."""
    kept = np.ones(units, dtype=np.bool_)
    for group, count in zip(groups, draw(groups, rng), strict=True):
        removed = rng.permutation(group)[:count]
        kept[removed] = False
    return kept


def _thirds(groups: Sequence[IntArray], _: np.random.Generator) -> list[int]:
    """A third of every group, and at least one; a group of one unit loses none."""
    return [max(len(group) // 3, min(1, len(group) - 1)) for group in groups]


def _different_shares(groups: Sequence[IntArray], rng: np.random.Generator) -> list[int]:
    """From few to many, in random order: what is right for equal widths only is found out."""
    order = rng.permutation(len(groups))
    shares = (order + 0.5) / len(groups)

    counts = []
    for share, group in zip(shares, groups, strict=True):
        most = len(group) - 1
        count = round(share * most)
        counts.append(max(count, min(1, most)))
    return counts
