"""From a policy to an outcome: build the candidate, score it, measure it, remember it.

Knows nothing of agents or rewards.
"""

from __future__ import annotations

import time
from dataclasses import dataclass, replace

from torch import fx

from sartor.compression import Compressor
from sartor.cost import Cost
from sartor.machine import synchronize
from sartor.policy import Policy
from sartor.scoring._score import Score, Scorer
from sartor.targets import Deployment


@dataclass(frozen=True)
class Outcome:
    """What was measured of a candidate.

    Attributes:
        accuracy: In [0, 1]; an estimate on the first ``images`` if ``stopped``.
        images: How many images were looked at.
        stopped: Whether it was given up as hopeless.
        cost: What it costs.
        seconds_build: What building it took.
        seconds_score: What scoring it took.
        divergence: Mean distance from the original's outputs, in nats; None where not measured.
        latency_s: Median latency in seconds; None where nothing was measured.
        relative_latency: Latency relative to the original's, measured in turns with it.
        latency_settled: False where the machine was busy: the latency is likely smaller.
        seconds_latency: What measuring took.
    """

    accuracy: float
    images: int
    stopped: bool
    cost: Cost
    seconds_build: float = 0.0
    seconds_score: float = 0.0
    divergence: float | None = None
    latency_s: float | None = None
    relative_latency: float | None = None
    latency_settled: bool = True
    seconds_latency: float = 0.0

    @property
    def quality(self) -> float:
        """What scorers compare, larger is better.

        Closeness to the original where it was measured, else accuracy.
        """
        if self.divergence is None:
            return self.accuracy
        return -self.divergence


class Evaluator:
    """Scores policies; those seen before are answered from the record.

    Attributes:
        compressor: Builds the candidates.
        scorer: Scores them.
        race: Whether candidates are given up that are certain to be worse than the best so far.
            Only for rewards that rise with what the scorer measures alone.
        deployment: Where the latency of every candidate that was scored in full is measured.
        ceiling: On relative latency; candidates above it are not raced against.
    """

    def __init__(
        self,
        compressor: Compressor,
        scorer: Scorer,
        *,
        race: bool = True,
        deployment: Deployment | None = None,
        ceiling: float | None = None,
    ) -> None:
        self.compressor = compressor
        self.scorer = scorer
        self.race = race
        self.deployment = deployment
        self.ceiling = ceiling

        # By JSON, which is the same for equal policies.
        self._record: dict[str, Outcome] = {}

        self._best_policy: Policy | None = None
        self._best_outcome: Outcome | None = None
        self._best_score: Score | None = None

    def evaluate(self, policy: Policy) -> Outcome:
        """Outcome of a policy before fine-tuning; one that was seen takes no time."""
        if self.knows(policy):
            return self._recorded(policy)

        # Before the clock starts: a rival that is scored again is none of the candidate's time.
        rival = self._rival() if self.race else None

        started = time.perf_counter()
        candidate = self.compressor.candidate(policy)
        # What a GPU still has to build counts as building.
        synchronize(self.compressor.device)
        built = time.perf_counter()
        score = self.scorer.score(candidate, rival)
        scored = time.perf_counter()

        outcome = Outcome(
            accuracy=score.accuracy,
            images=score.images,
            stopped=score.stopped,
            cost=self.compressor.cost_model.cost(policy),
            seconds_build=built - started,
            seconds_score=scored - built,
            divergence=score.divergence,
        )
        if self.deployment is not None and self.deployment.times and not score.stopped:
            outcome = _measured(outcome, self.deployment, candidate)
        self.remember(policy, outcome, score)
        return outcome

    def knows(self, policy: Policy) -> bool:
        """Whether a policy is in the record."""
        return policy.to_json() in self._record

    def remember(self, policy: Policy, outcome: Outcome, score: Score | None = None) -> None:
        """Take over an outcome, as when a run is resumed."""
        self._record[policy.to_json()] = outcome
        # Neither an estimate nor what is too slow may be raced against.
        if outcome.stopped or self._is_slow(outcome):
            return

        best = self._best_outcome
        if best is None or outcome.quality > best.quality:
            self._best_policy = policy
            self._best_outcome = outcome
            self._best_score = score

    def _recorded(self, policy: Policy) -> Outcome:
        known = self._record[policy.to_json()]
        return replace(
            known,
            seconds_build=0.0,
            seconds_score=0.0,
            seconds_latency=0.0,
        )

    def _is_slow(self, outcome: Outcome) -> bool:
        """Whether a candidate is not known to be under the ceiling."""
        if self.ceiling is None:
            return False
        return outcome.relative_latency is None or outcome.relative_latency > self.ceiling

    def _rival(self) -> Score | None:
        """Score of the best policy so far; scored again if only its outcome was taken over."""
        if self._best_policy is not None and self._best_score is None:
            candidate = self.compressor.candidate(self._best_policy)
            self._best_score = self.scorer.score(candidate)
        return self._best_score


def _measured(outcome: Outcome, deployment: Deployment, candidate: fx.GraphModule) -> Outcome:
    """An outcome with the latency of its candidate."""
    started = time.perf_counter()
    comparison = deployment.measure(candidate)
    seconds = time.perf_counter() - started
    return replace(
        outcome,
        latency_s=comparison.candidate.median_s,
        relative_latency=comparison.relative,
        latency_settled=comparison.settled,
        seconds_latency=seconds,
    )
