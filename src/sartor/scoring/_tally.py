"""What is known of a network after some of the images."""

from __future__ import annotations

import torch
from torch import Tensor

from sartor.scoring._score import Score
from sartor.tasks import Outputs, Task


class Tally:
    """Hits, divergences and the metric, batch by batch; outputs are not kept.

    >>> from sartor.tasks import CLASSIFICATION
    >>> tally = Tally(CLASSIFICATION)
    >>> tally.add((torch.eye(2),), torch.tensor([0, 0]))
    >>> tally.score().accuracy
    0.5

    Args:
        task: What is counted.
    """

    def __init__(self, task: Task) -> None:
        self.seen = 0
        self._task = task
        self._meter = task.meter()
        self._hits: list[Tensor] = []
        self._divergences: list[Tensor] = []

    def add(self, outputs: Outputs, labels: Tensor, expected: Outputs | None = None) -> None:
        """Take in the next images, all on one device; ``expected`` is what the original answers."""
        self.seen += len(labels)

        hits = self._task.hits(outputs, labels)
        if hits is not None:
            self._hits.append(hits)
        else:
            # Meters are often others' code, and may need arrays.
            on_cpu = tuple(item.cpu() for item in outputs)
            self._meter.update(on_cpu, labels.cpu())

        if expected is not None:
            distances = self._task.divergences(outputs, expected)
            self._divergences.append(distances)

    def score(self) -> Score:
        """The score of all images that were taken in, on the CPU."""
        correct = torch.cat(self._hits).cpu() if self._hits else None
        accuracy = self._meter.compute() if correct is None else correct.float().mean()
        if not self._divergences:
            return Score(float(accuracy), images=self.seen, correct=correct)

        divergences = torch.cat(self._divergences).cpu()
        return Score(
            accuracy=float(accuracy),
            images=self.seen,
            correct=correct,
            divergence=float(divergences.mean()),
            divergences=divergences,
        )
