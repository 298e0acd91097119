"""The ends of decisions, and what costs least between them."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from sartor.machine import FloatArray, IntArray
from sartor.problem._decisions import Decision


def ends(decisions: Sequence[Decision]) -> tuple[IntArray, IntArray]:
    """The smallest and the largest choice of every decision, both (decisions,)."""
    lowest = [decision.choices[0] for decision in decisions]
    highest = [decision.choices[-1] for decision in decisions]
    return np.array(lowest, dtype=np.int64), np.array(highest, dtype=np.int64)


def combine(decisions: Sequence[Decision], *, widths: IntArray, bits: IntArray) -> IntArray:
    """Counts (decisions,): ``bits`` where a decision quantizes, ``widths`` where it prunes."""
    quantizes = [decision.quantizes for decision in decisions]
    return np.where(quantizes, bits, widths)


def corners(decisions: Sequence[Decision], widths: Sequence[IntArray]) -> list[IntArray]:
    """Each of some ``widths`` with all bits at their coarsest, then each at their finest."""
    found = []
    for bits in ends(decisions):
        for width in widths:
            corner = combine(decisions, widths=width, bits=bits)
            found.append(corner)
    return found


def cheapest(decisions: Sequence[Decision], cost: Callable[[IntArray], FloatArray]) -> IntArray:
    """Counts (decisions,) that no single decision makes cheaper, by coordinate descent.

    ``cost`` takes rows of counts. The smallest choices are the cheapest but for latency: some
    kernels are slower with fewer bits or channels. Changing the precision between layers takes time
    too, so all corners are descended from: all layers narrow or wide, coarse or fine.
    """
    starts = corners(decisions, ends(decisions))
    found = [_descend(decisions, cost, start) for start in starts]

    costs = cost(np.array(found))
    least = int(costs.argmin())
    return found[least]


def _descend(
    decisions: Sequence[Decision], cost: Callable[[IntArray], FloatArray], counts: IntArray
) -> IntArray:
    """Where trying all choices of one decision after the other ends."""
    least = np.inf
    now = _of_one(cost, counts)
    while now < least:
        least = now
        for index, decision in enumerate(decisions):
            choices = decision.choices
            rows = np.repeat(counts[None], len(choices), axis=0)
            rows[:, index] = choices

            costs = cost(rows)
            least_row = costs.argmin()
            counts = rows[least_row]

        # A round that gained nothing is the last: no single decision makes it cheaper.
        now = _of_one(cost, counts)
    return counts


def _of_one(cost: Callable[[IntArray], FloatArray], counts: IntArray) -> float:
    (value,) = cost(counts[None])
    return float(value)
