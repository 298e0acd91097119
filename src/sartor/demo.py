"""The demonstration: a small network, trained here on scikit-learn's digits, compressed to half its MACs."""

from __future__ import annotations

from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from sartor import data, models


class DigitsNet(nn.Module):
    """A residual CNN for 8 × 8 images of digits."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Sequential(
            nn.Conv2d(1, 16, 3, 1, 1, bias=False), nn.BatchNorm2d(16), nn.ReLU()
        )
        self.inner = nn.Sequential(
            nn.Conv2d(16, 32, 3, 1, 1, bias=False),
            nn.BatchNorm2d(32),
            nn.ReLU(),
            nn.Conv2d(32, 16, 3, 1, 1, bias=False),
            nn.BatchNorm2d(16),
        )
        self.down = nn.Sequential(
            nn.Conv2d(16, 32, 3, 2, 1, bias=False), nn.BatchNorm2d(32), nn.ReLU()
        )
        self.last = nn.Sequential(
            nn.Conv2d(32, 32, 3, 1, 1, bias=False), nn.BatchNorm2d(32), nn.ReLU()
        )
        self.linear = nn.Linear(32, 10)

    def forward(self, x: Tensor) -> Tensor:
        """(batch, 1, 8, 8) → (batch, 10)."""
        x = self.stem(x)
        x = F.relu(x + self.inner(x))
        x = self.last(self.down(x))
        return self.linear(x.mean((2, 3)))


def train(path: str | Path, epochs: int = 15, seed: int = 0) -> None:
    """Train a `DigitsNet` in a few seconds and write its weights."""
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        model = DigitsNet()
    images = data.load("digits", calibration=1197).calibration
    pixels, generator = images.normalized(), torch.Generator().manual_seed(seed)
    optimizer = torch.optim.AdamW(model.parameters(), 1e-2, weight_decay=0.05)
    steps = epochs * -(-len(images) // 64)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, 1e-2, total_steps=steps)
    for _ in range(epochs):
        for batch in torch.randperm(len(images), generator=generator).split(64):
            loss = F.cross_entropy(model(pixels[batch]), images.labels[batch])
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            schedule.step()
    models.save_weights(Path(path), model.state_dict())
