"""What a score is, and what gives one."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor, nn


@dataclass(frozen=True)
class Score:
    """How good a network is on images, or by a measure of the user's.

    Attributes:
        accuracy: The metric of the task, at most 1, larger is better: of classification the share
            of right answers; an estimate if ``stopped``.
        images: How many images were looked at; 0 for a measure of the user's.
        stopped: Whether the network was given up before all images were looked at.
        correct: Which images were answered rightly, or how well, in [0, 1] (images,); None where
            the metric is no mean over images, and for a measure of the user's.
        divergence: Mean distance from the original network's outputs, as the task measures it, of
            class scores in nats; None where there is nothing to compare with.
        divergences: The same of each image (images,).
    """

    accuracy: float
    images: int
    stopped: bool = False
    correct: Tensor | None = None
    divergence: float | None = None
    divergences: Tensor | None = None

    @property
    def losses(self) -> Tensor | None:
        """What tells candidates apart, per image: the divergence, or whether it was wrong."""
        if self.divergences is not None:
            return self.divergences
        if self.correct is not None:
            is_yes_or_no = self.correct.dtype == torch.bool
            return ~self.correct if is_yes_or_no else 1 - self.correct
        return None


class Scorer(Protocol):
    """Scores networks on validation data."""

    def score(self, network: nn.Module, rival: Score | None = None) -> Score:
        """Score a network.

        May stop early, with an estimate, once it is certain to be worse than ``rival``.
        """
        ...

    def release(self) -> None:
        """Let go of what is kept for the next network; scores stay the same."""
        ...
