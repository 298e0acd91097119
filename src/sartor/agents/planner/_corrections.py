"""How wrong the errors of decisions are: learned from whole policies, of any search."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Self

import numpy as np
import torch
from scipy.stats import norm, rankdata
from torch import Tensor, nn

from sartor.agents._experience import Decisions, Experience
from sartor.machine import FloatArray, IntArray

#: Members of the ensemble.
_MEMBERS = 4
#: Policies of a step, and the learning rate of Adam.
_BATCH = 64
_RATE = 5e-3
#: How strongly the factors of single decisions are held at 1, and those known by features.
_DECAY_OF_OWN = 0.05
_DECAY = 0.01
#: How much of the order of policies the sum of errors is trusted to tell at the beginning.
_TRUST = 0.7
#: The least error of a policy: its logarithm is taken.
_LEAST = 1e-9


@dataclass(frozen=True, eq=False)
class _Source:
    """One search, ready to learn from.

    Attributes:
        features: (policies, decisions, features).
        errors: (policies, decisions).
        badness: Normal scores of how bad each is (policies,).
        middle: Mean of the logarithms of summed errors.
        spread: Their standard deviation.
    """

    features: Tensor
    errors: Tensor
    badness: Tensor
    middle: float
    spread: float

    @classmethod
    def of(cls, experience: Experience) -> Self:
        features = experience.decisions.features_of(experience.counts)
        errors = experience.decisions.errors_of(experience.counts)
        sums = np.log(errors.sum(1) + _LEAST)
        # Ranks rather than values: a few ruined candidates must not set the scale.
        shares = (rankdata(-experience.rewards) - 0.5) / len(experience)
        return cls(
            torch.from_numpy(features).float(),
            torch.from_numpy(errors).float(),
            torch.from_numpy(norm.ppf(shares)).float(),
            float(sums.mean()),
            float(sums.std()) + 1e-3,
        )


class Corrections(nn.Module):
    """Factors on the errors of decisions, such that their sum tells how bad whole policies are.

    The logarithm of a factor is linear in the decision's features, so that what is learned holds
    for other budgets and networks, and has a number of the decision's own. Linear, for a search
    has a dozen decisions or a few: whatever bends more knows each of them by heart. All begin as
    1: nothing is believed that no episode has shown. Members of the ensemble see bootstrapped
    episodes; what counts is the mean of the logarithms of their factors.

    Args:
        features: Of a decision.
        others: Searches that are learned from beside the present one.
        generator: Draws weights and batches.
    """

    def __init__(self, features: int, others: int, generator: torch.Generator) -> None:
        super().__init__()
        self._others = others
        self._generator = generator
        self.by_feature = nn.Parameter(torch.zeros(_MEMBERS, features))
        self.own = nn.ParameterList()
        self.lines = nn.ParameterList()

    def fit(self, experiences: Sequence[Experience], steps: int) -> None:
        """Learn from the other searches and, once it has episodes, the present one, the last.

        Goes on from what was learned before.
        """
        sources = [_Source.of(item) for item in experiences]
        for source in sources[len(self.own) :]:
            self._make_room(decisions=source.errors.shape[1])

        # Bootstrapped: each member sees every policy about once, some twice, others not at all.
        picked = [self._numbers(len(source.badness), len(source.badness)) for source in sources]
        optimizer = torch.optim.Adam(self.parameters(), _RATE)
        for _ in range(steps):
            optimizer.zero_grad()
            pairs = enumerate(zip(sources, picked, strict=True))
            losses = [self._loss(index, *pair) for index, pair in pairs]
            torch.stack(losses).sum().backward()
            optimizer.step()

    @torch.no_grad()
    def corrected(self, decisions: Decisions, around: IntArray) -> list[FloatArray]:
        """Error curves of the present search, where all other decisions are as in ``around``."""
        counts = [len(choices) for choices in decisions.choices]
        rows = np.repeat(around[None], sum(counts), axis=0)
        columns = np.repeat(np.arange(len(counts)), counts)
        rows[np.arange(len(rows)), columns] = np.concatenate(decisions.choices)

        features = torch.from_numpy(decisions.features_of(rows)).float()
        of_choice = features[torch.arange(len(rows)), torch.from_numpy(columns)]
        factors = self._by_features(of_choice[None, :, None])[..., 0]
        # The numbers of others' decisions are none of these.
        for own in self.own[self._others :]:
            factors = factors + own[:, torch.from_numpy(columns)]
        means = factors.mean(0).exp().double().numpy()

        ends = np.cumsum(counts)[:-1]
        pairs = zip(decisions.errors, np.split(means, ends), strict=True)
        # What is kept on top of a choice never makes it worse.
        return [np.maximum.accumulate((curve * own)[::-1])[::-1] for curve, own in pairs]

    def _loss(self, index: int, source: _Source, picked: Tensor) -> Tensor:
        places = self._numbers(picked.shape[1], min(_BATCH, picked.shape[1]))
        numbers = picked.gather(1, places)
        by_features = self._by_features(source.features[numbers])
        factors = by_features + self.own[index][:, None]
        total = torch.log((source.errors[numbers] * factors.exp()).sum(-1) + _LEAST)

        relative = (total - source.middle) / source.spread
        offset, slope = self.lines[index].unbind(1)
        expected = offset[:, None] + slope[:, None] * relative
        missed = (expected - source.badness[numbers]).square().mean()
        held = _DECAY_OF_OWN * self.own[index].square().mean()
        return missed + held + _DECAY * by_features.square().mean()

    def _by_features(self, features: Tensor) -> Tensor:
        """Logarithms of factors (members, policies, decisions)."""
        each = features.expand(_MEMBERS, -1, -1, -1)
        return torch.einsum("mpdf,mf->mpd", each, self.by_feature)

    def _make_room(self, decisions: int) -> None:
        """Numbers of its own for a search that is new."""
        self.own.append(nn.Parameter(torch.zeros(_MEMBERS, decisions)))
        line = torch.tensor([0.0, _TRUST]).repeat(_MEMBERS, 1)
        self.lines.append(nn.Parameter(line))

    def _numbers(self, below: int, count: int) -> Tensor:
        """Whole numbers (members, count), drawn with replacement."""
        return torch.randint(below, (_MEMBERS, count), generator=self._generator)
