"""Operators of a package that knows sartor's registry and nothing else of it."""

import torch
from torch import nn

from sartor.graph import OPERATORS, Effect


class FrozenNorm(nn.Module):
    """A norm of fixed statistics: per channel, y = scale · (x − mean) + shift."""

    def __init__(self, channels):
        super().__init__()
        self.scale = nn.Parameter(torch.rand(channels) + 0.5)
        self.shift = nn.Parameter(torch.randn(channels))
        self.register_buffer("mean", torch.randn(channels))

    def forward(self, x):
        view = (1, -1, 1, 1)
        return self.scale.view(view) * (x - self.mean.view(view)) + self.shift.view(view)


class Spike(nn.Module):
    """An activation that torch has no name for, and that fx cannot look into."""

    def forward(self, x):
        return torch.where(torch.tensor(x.detach().numpy()) > 0.2, x, torch.zeros_like(x))


class Scaled(nn.Conv2d):
    """A convolution whose weights are multiplied by a constant."""

    def forward(self, x):
        return 0.5 * super().forward(x)


@torch.fx.wrap
def swish(x):
    return x * torch.sigmoid(1.7 * x)


@torch.fx.wrap
def add(x):
    """Mixes all channels, and has the name of an operator of torch."""
    return x + x.flip(1)


OPERATORS.register(FrozenNorm, Effect.SCALE)
OPERATORS.register(Spike, Effect.POINTWISE)
OPERATORS.register(Scaled, Effect.MIX)
OPERATORS.register(swish, Effect.POINTWISE)
