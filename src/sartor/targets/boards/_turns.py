"""Turns of two networks on a board."""

from __future__ import annotations

import statistics

from sartor.targets._comparison import Comparison
from sartor.targets._quiet import QuietGauge
from sartor.targets._timing import Patience, TurnSizes, compare_turns
from sartor.targets.boards._session import BoardSession

#: Seconds of turns that are taken for one message: while a message travels the board rests, and
#: its governor may lower the clock.
_AT_ONCE = 0.2


def compare_there(
    candidate: BoardSession, original: BoardSession, patience: Patience, gauge: QuietGauge | None
) -> Comparison:
    """Latency of a candidate beside the original's, both on the same board.

    Turns are taken there, some for each message; their seconds are judged here, like all others.
    """
    both = [candidate.network, original.network]
    board = candidate.board
    warm = max(1, patience.warm_up)
    (mine,), (theirs,) = board.turns(both, uncounted=[0, 0], runs=warm, turns=1)
    sizes = TurnSizes.of(statistics.median(mine), statistics.median(theirs))

    taken = _Turns(candidate, original, sizes)
    return compare_turns(taken.candidate, taken.original, patience, gauge)


class _Turns:
    """Turns that the board has taken, handed out one by one, each side's in their order."""

    def __init__(self, candidate: BoardSession, original: BoardSession, sizes: TurnSizes) -> None:
        self._board = candidate.board
        self._both = [candidate.network, original.network]
        self._sizes = sizes
        self._at_once = max(1, round(_AT_ONCE / sizes.both_s))
        self._candidate: list[list[float]] = []
        self._original: list[list[float]] = []

    def candidate(self) -> list[float]:
        """The next turn of the candidate: seconds of each run that counts."""
        if not self._candidate:
            self._take()
        return self._candidate.pop(0)

    def original(self) -> list[float]:
        """The next turn of the original."""
        if not self._original:
            self._take()
        return self._original.pop(0)

    def _take(self) -> None:
        sizes = self._sizes
        mine, theirs = self._board.turns(
            self._both,
            uncounted=[sizes.candidate_uncounted, sizes.original_uncounted],
            runs=sizes.runs,
            turns=self._at_once,
        )
        self._candidate += mine
        self._original += theirs
