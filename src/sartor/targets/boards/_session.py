"""A network that a board has loaded."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from sartor.machine import Float32Array
from sartor.targets.boards._board import Board


class BoardSession:
    """What was sent of it stays on the board; only inputs, outputs and seconds travel.

    Attributes:
        board: Where it is.
        network: What it is called there.
        batch: Images that it takes at a time; None for any number.
    """

    def __init__(
        self, board: Board, artifact: Path, network: Mapping[str, Any], batch: int | None
    ) -> None:
        self.board = board
        self.network = network
        self.batch = batch
        self._artifact = artifact

    def run(self, inputs: Sequence[Float32Array]) -> list[Float32Array]:
        """All outputs. Inputs that were sent before are not sent again."""
        return self.board.run(self.network, self._artifact, inputs)

    def seconds(self) -> float:
        """One run on random numbers, by the clock of the board."""
        ((turn,),) = self.board.turns([self.network], uncounted=[0], runs=1, turns=1)
        return turn[0]
