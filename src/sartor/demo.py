"""The demonstration: a small network for scikit-learn's digits, trained here in seconds."""

from __future__ import annotations

import math
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from sartor import data, models
from sartor.machine import seeded

_IMAGES = 1197
_BATCH = 64
_LEARNING_RATE = 1e-2
_WEIGHT_DECAY = 0.05


class DigitsNet(nn.Module):
    """A residual CNN for 8 × 8 images of digits.

    >>> DigitsNet()(torch.zeros(2, 1, 8, 8)).shape
    torch.Size([2, 10])
    """

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Sequential(
            nn.Conv2d(1, 16, 3, 1, 1, bias=False),
            nn.BatchNorm2d(16),
            nn.ReLU(),
        )
        self.inner = nn.Sequential(
            nn.Conv2d(16, 32, 3, 1, 1, bias=False),
            nn.BatchNorm2d(32),
            nn.ReLU(),
            nn.Conv2d(32, 16, 3, 1, 1, bias=False),
            nn.BatchNorm2d(16),
        )
        self.down = nn.Sequential(
            nn.Conv2d(16, 32, 3, 2, 1, bias=False),
            nn.BatchNorm2d(32),
            nn.ReLU(),
        )
        self.last = nn.Sequential(
            nn.Conv2d(32, 32, 3, 1, 1, bias=False),
            nn.BatchNorm2d(32),
            nn.ReLU(),
        )
        self.linear = nn.Linear(32, 10)

    def forward(self, x: Tensor) -> Tensor:
        """(batch, 1, 8, 8) → (batch, 10)."""
        x = self.stem(x)
        x = F.relu(x + self.inner(x))
        x = self.down(x)
        x = self.last(x)

        pooled = x.mean((2, 3))
        return self.linear(pooled)


def train(path: str | Path, epochs: int = 15, seed: int = 0) -> None:
    """Train a `DigitsNet` and write its weights as a .safetensors file.

    Raises `MissingPackageError` without scikit-learn.
    """
    images = data.load("digits", calibration=_IMAGES).calibration
    pixels = images.normalized()
    model = _untrained(seed)

    optimizer = torch.optim.AdamW(
        model.parameters(),
        _LEARNING_RATE,
        weight_decay=_WEIGHT_DECAY,
    )
    # The last batch is smaller than the others.
    batches = math.ceil(len(images) / _BATCH)
    schedule = torch.optim.lr_scheduler.OneCycleLR(
        optimizer,
        _LEARNING_RATE,
        total_steps=epochs * batches,
    )

    generator = torch.Generator().manual_seed(seed)
    for _ in range(epochs):
        order = torch.randperm(len(images), generator=generator)
        for batch in order.split(_BATCH):
            scores = model(pixels[batch])
            loss = F.cross_entropy(scores, images.labels[batch])

            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            schedule.step()

    models.save_weights(Path(path), model.state_dict())


def _untrained(seed: int) -> DigitsNet:
    """A network with weights drawn from a seed; the generator of the program stays as it is."""
    with seeded(seed):
        return DigitsNet()
