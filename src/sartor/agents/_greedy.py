"""Greedy removal: what adds least error for what it saves goes first."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from sartor.agents._base import SearchContext
from sartor.machine import FloatArray, IntArray
from sartor.problem import Decision, Problem

#: At most this share of a decision's size is given up at a time.
_STEP = 0.05
#: The least saving that errors are divided by, as a share of the budget.
_LEAST_SAVING = 1e-12


@dataclass(frozen=True)
class _Move:
    """A decision goes from one of its choices to a smaller one, both by their places."""

    decision: int
    before: int
    after: int


def greedy(context: SearchContext) -> FloatArray:
    """Keep ratios (decisions,) of the first policy on the way down that meets the budget.

    One decision at a time gives up a twentieth of its size, or one choice if they are further
    apart: the one that adds least estimated error for what it saves (like NetAdapt, Yang et al.
    2018).
    """
    problem = context.problem
    counts = problem.highest
    places = [len(decision.choices) - 1 for decision in problem.decisions]

    while any(places) and not problem.fits(counts[None])[0]:
        moves = _moves(problem, places)
        rows = np.stack([_after(problem, counts, move) for move in moves])
        added = _added(context.errors, moves)
        saved = _saved(problem, counts, rows)

        best = int(np.argmin(added / saved))
        chosen = moves[best]
        places[chosen.decision] = chosen.after
        counts = rows[best]

    return counts / problem.sizes


def _moves(problem: Problem, places: list[int]) -> list[_Move]:
    moves = []
    for index, place in enumerate(places):
        # At its first choice, a decision has nothing left to give up.
        if place == 0:
            continue

        decision = problem.decisions[index]
        after = _below(decision, place)
        moves.append(_Move(index, place, after))
    return moves


def _below(decision: Decision, place: int) -> int:
    """The place of the least choice within a step of the present one, or of the next below it."""
    step = max(1, int(np.ceil(_STEP * decision.size)))
    least = decision.choices[place] - step
    return min(place - 1, int(np.searchsorted(decision.choices, least)))


def _after(problem: Problem, counts: IntArray, move: _Move) -> IntArray:
    moved = counts.copy()
    moved[move.decision] = problem.decisions[move.decision].choices[move.after]
    return moved


def _saved(problem: Problem, counts: IntArray, rows: IntArray) -> FloatArray:
    """What each of ``rows`` uses less of the budget than ``counts`` (rows,).

    More than 0 even where latency rises: errors are divided by it.
    """
    usage = problem.usage(counts[None])[0]
    saved = usage - problem.usage(rows)
    return np.maximum(saved, _LEAST_SAVING)


def _added(errors: Sequence[FloatArray], moves: list[_Move]) -> FloatArray:
    """The error that each move adds (moves,)."""
    added = []
    for move in moves:
        curve = errors[move.decision]
        added.append(float(curve[move.after] - curve[move.before]))
    return np.array(added)
