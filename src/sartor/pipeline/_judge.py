"""The last word on candidates: scored on all validation images in fp32, measured on the target until it is sure, tested once."""

from __future__ import annotations

import functools
import math
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, replace

import torch
from torch import fx, nn

from sartor.agents import RULES, SearchContext
from sartor.compression import Compressor
from sartor.data import Data
from sartor.machine import IntArray
from sartor.pipeline._report import Entry, LayerEntry, Ratio
from sartor.policy import Policy
from sartor.problem import Problem
from sartor.rewards import Reward
from sartor.scoring import ImageScorer, Outcome, Scorer
from sartor.targets import SURE, Comparison, Deployment

#: Times the finalists are projected onto a tighter budget because all of them were slower than predicted.
_ROUNDS = 6
#: Aimed at beyond what was missed, so that measuring again does not miss by a hair.
_MARGIN = 1.01


@dataclass(frozen=True, eq=False)
class Verdict:
    """A candidate as it would be delivered. ``met`` says whether its latency is under the ceiling for certain."""

    policy: Policy
    network: fx.GraphModule
    reward: float
    latency: Comparison | None
    met: bool = True


class Judge:
    """Scores and measures what may be delivered."""

    def __init__(
        self,
        compressor: Compressor,
        scorer: Scorer,
        data: Data | None,
        *,
        reward: Reward,
        custom: Callable[[nn.Module], float] | None = None,
        deployment: Deployment | None = None,
    ) -> None:
        self.compressor, self.deployment, self.reward = compressor, deployment, reward
        self.validation: Scorer = scorer
        self.test: Scorer | None = None
        if data is not None and custom is None:
            original = compressor.network.module if reward.needs_images else None
            exact = functools.partial(ImageScorer, dtype=torch.float32, deployment=deployment)
            self.validation = exact(data.validation, original=original)
            self.test = exact(data.test) if data.test is not None else None

    def choose(
        self, problem: Problem, candidates: Sequence[IntArray], ceiling: float | None
    ) -> Verdict:
        """The policy (counts) with the largest reward among those that meet the ceiling on latency when measured.

        What is returned met it twice, the second time after all were scored: a machine can be kind for as long as one
        measurement takes. If none does and the budget of the problem bounds latency, all are projected onto a tighter one, a few
        times; after that the fastest is returned, not ``met``.
        """
        bounded = problem.budget.bounds_latency
        for _ in range(_ROUNDS):
            verdicts = [
                self._verdict(problem, counts, ceiling, bounded=bounded)
                for counts in _different(candidates)
            ]
            verdicts.sort(key=lambda verdict: -verdict.reward)
            for place, verdict in enumerate(verdicts):
                if bounded and verdict.met:
                    verdicts[place] = self._confirm(verdict, ceiling)
                if verdicts[place].met or not bounded:
                    return verdicts[place]
            assert ceiling is not None
            missed = (
                min(verdict.latency.high for verdict in verdicts if verdict.latency is not None)
                / ceiling
            )
            problem.tighten(missed * _MARGIN)
            candidates = [problem.execute(counts / problem.sizes) for counts in candidates]
        return min(
            verdicts,
            key=lambda verdict: verdict.latency.high if verdict.latency is not None else 0.0,
        )

    def rule(self, rule: str, context: SearchContext) -> Entry:
        """Entry of a rule's policy, refitted like the finalists."""
        policy = context.problem.policy(context.problem.execute(RULES.get(rule)(context)))
        network = self.compressor.candidate(policy, final=True)
        return self.entry(network, policy, self._measure(network))

    def entry(
        self, network: fx.GraphModule, policy: Policy, latency: Comparison | None = None
    ) -> Entry:
        """Accuracies and costs, absolute and as ratios."""
        cost = self.compressor.cost_model.cost(policy)
        ratio = cost.ratio(self.compressor.cost_model.original)
        return Entry(
            validation=self.validation.score(network).accuracy,
            test=self.test.score(network).accuracy if self.test else None,
            **asdict(cost),
            latency=latency,
            ratio=Ratio(**ratio),
        )

    def layers(
        self, policy: Policy, candidate: fx.GraphModule | None = None
    ) -> tuple[LayerEntry, ...]:
        """Every layer of a candidate, or of the original; timed where the target profiles."""
        seconds: dict[str, float] = {}
        if self.deployment is not None and self.deployment.target.profiles:
            seconds = self.deployment.profile(candidate)
        costs = self.compressor.cost_model.by_layer(policy)
        return tuple(LayerEntry(**asdict(cost), seconds=seconds.get(cost.name)) for cost in costs)

    def _verdict(
        self, problem: Problem, counts: IntArray, ceiling: float | None, *, bounded: bool
    ) -> Verdict:
        policy = problem.policy(counts)
        network = self.compressor.candidate(policy, final=True)
        latency = self._measure(network)
        if latency is not None and latency.settled:
            problem.correct(counts, latency.relative)
        met = ceiling is None or (latency is not None and latency.high <= ceiling)
        if bounded and not met:
            return Verdict(policy, network, -math.inf, latency, met)
        score = self.validation.score(network)
        relative = None if latency is None else latency.relative
        cost = self.compressor.cost_model.cost(policy)
        outcome = Outcome(
            score.accuracy,
            score.images,
            False,
            cost,
            divergence=score.divergence,
            relative_latency=relative,
        )
        return Verdict(policy, network, self.reward(outcome, ceiling), latency, met)

    def _confirm(self, verdict: Verdict, ceiling: float | None) -> Verdict:
        """The same, measured again; the slower of both measurements counts."""
        latency = self._measure(verdict.network)
        if latency is None or verdict.latency is None or ceiling is None:
            return verdict
        slower = max(latency, verdict.latency, key=lambda found: found.high)
        return replace(verdict, latency=slower, met=slower.high <= ceiling)

    def _measure(self, network: fx.GraphModule) -> Comparison | None:
        return None if self.deployment is None else self.deployment.measure(network, SURE)


def _different(candidates: Sequence[IntArray]) -> list[IntArray]:
    return list({counts.tobytes(): counts for counts in candidates}.values())
