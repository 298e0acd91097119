"""An actor that proposes how to move away from the exact allocation, whatever the budget."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from sartor.machine import FloatArray

_HIDDEN = 32
#: Widths of the normal distribution at the beginning, as logarithms, and their bounds.
_LOG_SPREAD = -1.2
_LEAST_LOG_SPREAD = -3.0
_MOST_LOG_SPREAD = -0.5
#: Moves stay within a factor e to this power.
_REACH = 1.5


class Actor(nn.Module):
    """Logarithms of factors on keep ratios (decisions,), normally distributed.

    One small network for every decision, which knows it by its features, all others by the mean of
    theirs, and the share of the budget that may be used. It begins at 0: at the allocation itself.
    """

    def __init__(self, known: FloatArray, generator: torch.Generator) -> None:
        """Of what is ``known`` of each decision (decisions, features)."""
        super().__init__()
        self.known = torch.from_numpy(known).float()
        features = 2 * self.known.shape[1] + 1
        self.first = _layer(features, _HIDDEN, generator)
        self.second = _layer(_HIDDEN, _HIDDEN, generator)
        self.last = nn.utils.skip_init(nn.Linear, _HIDDEN, 1)
        nn.init.zeros_(self.last.weight)
        nn.init.zeros_(self.last.bias)
        self.log_spread = nn.Parameter(torch.tensor(_LOG_SPREAD))

    def forward(self, share: float) -> tuple[Tensor, Tensor]:
        """Means (decisions,) and the spread for a share of the budget."""
        mean_of_all = self.known.mean(0).expand_as(self.known)
        of_budget = self.known.new_full((len(self.known), 1), share)
        seen = torch.cat([self.known, mean_of_all, of_budget], 1)
        hidden = torch.tanh(self.first(seen))
        hidden = torch.tanh(self.second(hidden))
        bounded = torch.tanh(self.last(hidden).squeeze(1))
        log_spread = self.log_spread.clamp(_LEAST_LOG_SPREAD, _MOST_LOG_SPREAD)
        return _REACH * bounded, log_spread.exp()


def _layer(inputs: int, outputs: int, generator: torch.Generator) -> nn.Linear:
    """A linear layer of weights drawn from ``generator``, not from the global one."""
    layer = nn.utils.skip_init(nn.Linear, inputs, outputs)
    with torch.no_grad():
        layer.weight.normal_(0.0, inputs**-0.5, generator=generator)
        layer.bias.zero_()
    return layer
