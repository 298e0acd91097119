"""Repairs on a device that is not the CPU."""

import pytest
import torch
from torch import nn

from sartor.data import Images
from sartor.graph import trace
from sartor.repair import RepairOptions, repair


def test_a_repair_takes_the_same_steps_there(gpu):
    generator = torch.Generator().manual_seed(0)
    pixels = torch.rand(120, 3, 8, 8, generator=generator)
    images = Images(pixels, torch.zeros(120, dtype=torch.long))

    def network(seed):
        torch.manual_seed(seed)
        model = nn.Sequential(
            nn.Conv2d(3, 6, 3), nn.BatchNorm2d(6), nn.ReLU(), nn.Flatten(), nn.Linear(216, 4)
        )
        return trace(model, pixels[:1]).module

    options = RepairOptions(shown=32 * 12, batch=32, rounds=2, learning_rate=0.003)

    def repaired(device):
        return repair(network(1).to(device), network(2).to(device), images, options)

    mine = repaired(gpu)
    theirs = repaired(torch.device("cpu"))
    assert {item.device for item in mine.model.parameters()} == {gpu}
    assert mine.before == pytest.approx(theirs.before, rel=0.02)
    assert mine.after == pytest.approx(theirs.after, rel=0.05)
    assert theirs.after < theirs.before
