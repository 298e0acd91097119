"""How good a network is before and after it was trained."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import fx, nn

from sartor.data import Data
from sartor.graph import trace
from sartor.machine import choose_device
from sartor.scoring import ImageScorer
from sartor.tasks import Task


@dataclass(frozen=True)
class ValidationAccuracy:
    """The metric of the task on the validation images, 1 at best.

    Attributes:
        before: Of what was found.
        after: Of what was trained.
    """

    before: float
    after: float


@dataclass(frozen=True)
class TestAccuracy:
    """The metric of the task on the test images, 1 at best.

    Attributes:
        original: Of the original network.
        before: Of what was found.
        after: Of what was trained.
    """

    original: float
    before: float
    after: float


def on_test_images(
    data: Data,
    original: nn.Module,
    before: fx.GraphModule,
    after: fx.GraphModule,
    *,
    task: Task,
    device: str,
) -> TestAccuracy | None:
    """The accuracies of three networks; None where there are no test images."""
    if data.test is None:
        return None
    image = data.calibration.batch(slice(0, 1))
    traced = trace(original, image).module
    # In fp32, whatever is fastest here: these are the accuracies that are reported.
    where = choose_device(device)
    scorer = ImageScorer(data.test, task=task, dtype=torch.float32, device=where)
    return TestAccuracy(
        original=scorer.score(traced).accuracy,
        before=scorer.score(before).accuracy,
        after=scorer.score(after).accuracy,
    )
