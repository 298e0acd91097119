"""What whole policies are worth: an ensemble that begins as the sum of errors."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from scipy.stats import norm, rankdata
from torch import Tensor, nn

from sartor.agents.planner._experience import Decisions, Experience
from sartor.machine import FloatArray, IntArray

#: Networks of the ensemble, and units of their hidden layers.
_MEMBERS = 5
_HIDDEN = 24
#: Policies of a step, and the learning rate of Adam.
_BATCH = 64
_RATE = 5e-3
#: How strongly factors of single decisions are held at 1; the others, known by features, less.
_DECAY = 0.02
#: Slope at the beginning: how much of the order of policies the sum of errors is trusted to tell.
_TRUST = 0.7
#: The least error of a policy: its logarithm is taken.
_LEAST = 1e-9


@dataclass(frozen=True, eq=False)
class _Source:
    """One search, ready to learn from.

    Attributes:
        decisions: What was decided on.
        features: (policies, decisions, features).
        errors: (policies, decisions).
        badness: Normal scores of how bad each is (policies,).
        middle: Mean of the logarithms of summed errors.
        spread: Their standard deviation.
    """

    decisions: Decisions
    features: Tensor
    errors: Tensor
    badness: Tensor
    middle: float
    spread: float

    @classmethod
    def of(cls, experience: Experience) -> _Source:
        features = experience.decisions.features_of(experience.counts)
        errors = experience.decisions.errors_of(experience.counts)
        sums = np.log(errors.sum(1) + _LEAST)
        # Ranks rather than values: a few ruined candidates must not set the scale.
        shares = (rankdata(-experience.rewards) - 0.5) / len(experience)
        return cls(
            experience.decisions,
            torch.from_numpy(features).float(),
            torch.from_numpy(errors).float(),
            torch.from_numpy(norm.ppf(shares)).float(),
            float(sums.mean()),
            float(sums.std()) + 1e-3,
        )


class WorldModel(nn.Module):
    """How bad policies are, in normal scores of those that were seen.

    The sum over decisions of error × factor, as a logarithm. Each factor comes from a small network
    that knows the decision by its features alone, so that what it learns holds for other budgets
    and networks, and from a number of the decision's own. Both begin as 1, where the sum is that
    which the exact allocation makes least: no member begins worse than it. Members see
    bootstrapped episodes; where they disagree, little is known.
    """

    def __init__(self, features: int, generator: torch.Generator) -> None:
        super().__init__()
        self._generator = generator
        self.first = self._drawn(features, _HIDDEN)
        self.second = self._drawn(_HIDDEN, _HIDDEN)
        self.last = nn.Parameter(torch.zeros(_MEMBERS, _HIDDEN, 1))
        self.first_bias = nn.Parameter(torch.zeros(_MEMBERS, 1, 1, _HIDDEN))
        self.second_bias = nn.Parameter(torch.zeros(_MEMBERS, 1, 1, _HIDDEN))
        self._own: list[nn.Parameter] = []
        self._lines: list[nn.Parameter] = []

    def fit(self, experiences: Sequence[Experience], steps: int) -> None:
        """Learn from searches, the present one last; what was learned before is gone on from."""
        sources = [_Source.of(item) for item in experiences]
        self._make_room(sources)
        self._sources = sources
        picked = [self._bootstrapped(len(source.badness)) for source in sources]
        optimizer = torch.optim.Adam(
            [
                {"params": [self.first, self.second, self.last]},
                {"params": [self.first_bias, self.second_bias, *self._lines]},
                {"params": self._own},
            ],
            lr=_RATE,
        )
        for _ in range(steps):
            optimizer.zero_grad()
            loss = torch.zeros(())
            for index, (source, numbers) in enumerate(zip(sources, picked, strict=True)):
                loss = loss + self._loss(index, source, numbers)
            loss.backward()
            optimizer.step()

    @torch.no_grad()
    def badness(self, decisions: Decisions, counts: IntArray) -> FloatArray:
        """What each member expects of policies of the present search (members, policies)."""
        features = torch.from_numpy(decisions.features_of(counts)).float()
        errors = torch.from_numpy(decisions.errors_of(counts)).float()
        found: FloatArray = self._predicted(-1, features[None], errors[None]).double().numpy()
        return found

    def _loss(self, index: int, source: _Source, picked: Tensor) -> Tensor:
        size = min(_BATCH, picked.shape[1])
        places = torch.randint(picked.shape[1], (_MEMBERS, size), generator=self._generator)
        numbers = picked.gather(1, places)
        predicted = self._predicted(index, source.features[numbers], source.errors[numbers])
        missed = (predicted - source.badness[numbers]).square().mean(1)
        held = self._own[index].square().sum(1) * _DECAY
        return (missed + held).sum()

    def _predicted(self, index: int, features: Tensor, errors: Tensor) -> Tensor:
        """(members, policies), of features (members or 1, policies, decisions, features)."""
        hidden = torch.tanh(_each(features, self.first) + self.first_bias)
        hidden = torch.tanh(_each(hidden, self.second) + self.second_bias)
        factors = _each(hidden, self.last).squeeze(-1) + self._own[index][:, None]
        total = torch.log((errors * factors.exp()).sum(-1) + _LEAST)

        source = self._sources[index]
        relative = (total - source.middle) / source.spread
        offset, slope = self._lines[index].unbind(1)
        return offset[:, None] + slope[:, None] * relative

    def _make_room(self, sources: Sequence[_Source]) -> None:
        """Numbers of their own for searches that are new."""
        for source in sources[len(self._own) :]:
            decisions = source.errors.shape[1]
            self._own.append(nn.Parameter(torch.zeros(_MEMBERS, decisions)))
            line = torch.tensor([0.0, _TRUST]).repeat(_MEMBERS, 1)
            self._lines.append(nn.Parameter(line))

    def _bootstrapped(self, count: int) -> Tensor:
        """Numbers of policies that each member sees (members, count), drawn with replacement."""
        return torch.randint(count, (_MEMBERS, count), generator=self._generator)

    def _drawn(self, inputs: int, outputs: int) -> nn.Parameter:
        weights = torch.randn(_MEMBERS, inputs, outputs, generator=self._generator)
        return nn.Parameter(weights / inputs**0.5)


def _each(x: Tensor, weights: Tensor) -> Tensor:
    """Each member's own layer: (members or 1, policies, decisions, in) to (…, out)."""
    return torch.einsum("mpdi,mio->mpdo", x.expand(len(weights), -1, -1, -1), weights)
