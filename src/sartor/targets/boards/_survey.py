"""What a board can do, what is missing there, and how to install it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from sartor.errors import UsageError
from sartor.targets.boards._board import Board
from sartor.targets.boards._condition import warnings
from sartor.targets.boards._facts import Facts
from sartor.targets.boards._place import Place
from sartor.targets.boards.agent import RUNTIMES


@dataclass(frozen=True)
class Survey:
    """A look at a board.

    Attributes:
        place: Which.
        facts: What it says of itself.
        runtimes: Versions by name; empty for what is missing.
    """

    place: Place
    facts: Facts
    runtimes: Mapping[str, str]

    @property
    def targets(self) -> tuple[str, ...]:
        """What to give as target, for each runtime that is there."""
        there = f"ssh:{self.place.host}"
        python = "" if self.place.python == Place.python else f",python={self.place.python}"
        usable = [name for name, version in self.runtimes.items() if version]
        return tuple(f"{there},runtime={name}{python}" for name in usable)

    def sentences(self) -> list[str]:
        """What is missing and how to install it, and what makes measuring less sure."""
        said = []
        for name, version in self.runtimes.items():
            if not version:
                package = RUNTIMES[name].package
                said.append(f"{name} is missing there; run: {self.place.pip} {package}")
        return [*said, *warnings(self.facts)]


def survey(target: str) -> Survey:
    """Look at the board that a target names, such as ``ssh:pi``; it needs no runtime yet.

    Raises `UsageError` for a name that is of no board, `RunError` if it cannot be reached.
    """
    kind, colon, text = target.partition(":")
    if kind != "ssh" or not colon:
        raise UsageError(f"--on is {target!r}; it must name a board, such as ssh:pi")
    place = Place.parse(text)
    board = Board(place)
    facts = board.facts()
    return Survey(place, facts, board.runtimes())
