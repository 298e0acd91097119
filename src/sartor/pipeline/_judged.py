"""What the judge says of candidates, and of all that is reported."""

from __future__ import annotations

from dataclasses import dataclass

from torch import fx

from sartor.pipeline._entries import Entry, Layers, Repair, Timed
from sartor.pipeline._goal import Reached
from sartor.policy import Policy
from sartor.repair import Repaired
from sartor.scoring import Score
from sartor.targets import Comparison


@dataclass(frozen=True, eq=False)
class Verdict:
    """A candidate as it would be delivered.

    Attributes:
        policy: By which it was made.
        network: The candidate.
        reward: What it is worth.
        latency: Beside the original's; None where there is no target.
        met: Whether its latency is under the ceiling for certain.
        score: On all validation images; None of what cannot be delivered.
        refitted: The candidate before it was repaired; None if it was not.
        repaired: What came of its repair.
    """

    policy: Policy
    network: fx.GraphModule
    reward: float
    latency: Comparison | None
    met: bool = True
    score: Score | None = None
    refitted: fx.GraphModule | None = None
    repaired: Repaired | None = None

    @property
    def slowest(self) -> float:
        """The relative latency that it has at most; 0 where nothing was measured."""
        return 0.0 if self.latency is None else self.latency.high


@dataclass(frozen=True, eq=False)
class Scores:
    """How good a network is at last.

    Attributes:
        validation: On all validation images.
        test: On the test images; None where there are none.
    """

    validation: Score
    test: Score | None

    @property
    def last(self) -> Score:
        """On the images that the search has not seen, where there are some."""
        return self.validation if self.test is None else self.test


@dataclass(frozen=True, eq=False)
class Judged:
    """The candidate that is delivered, and every network that is reported."""

    verdict: Verdict
    baselines: dict[str, Entry]
    original: Entry
    best: Entry
    layers: Layers
    timed: Timed | None = None
    reached: Reached | None = None
    repair: Repair | None = None
