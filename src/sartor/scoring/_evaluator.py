"""From a policy to an outcome: build the candidate, score it, measure it, remember it.

Knows nothing of agents or rewards.
"""

from __future__ import annotations

import time
from dataclasses import dataclass, replace

from sartor.compression import Compressor
from sartor.cost import Cost
from sartor.policy import Policy
from sartor.scoring._score import Score, Scorer
from sartor.targets import Deployment


@dataclass(frozen=True)
class Outcome:
    """What was measured of a candidate. ``stopped``: hopeless, its accuracy is an estimate on the first ``images``.

    ``relative_latency`` is relative to the original's, measured in turns with it; None where nothing was measured; likely smaller
    where it is not ``latency_settled``, because the machine was busy.
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
        """What scorers compare, larger is better: closeness to the original where it was measured, else accuracy."""
        return self.accuracy if self.divergence is None else -self.divergence


class Evaluator:
    """Scores policies; those seen before are answered from the record.

    ``race``: give up candidates that are certain to be worse than the best so far. Only for rewards that rise with what the
    scorer measures alone, for candidates at or under a ``ceiling`` on relative latency. With a ``deployment`` the
    latency of every candidate that was scored in full is measured.
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
        self.compressor, self.scorer, self.race, self.deployment, self.ceiling = (
            compressor,
            scorer,
            race,
            deployment,
            ceiling,
        )
        self._record: dict[str, Outcome] = {}
        self._best_policy: Policy | None = None
        self._best_score: Score | None = None

    def evaluate(self, policy: Policy) -> Outcome:
        """Outcome of a policy before fine-tuning; one that was seen takes no time."""
        if self.knows(policy):
            known = self._record[policy.to_json()]
            return replace(known, seconds_build=0.0, seconds_score=0.0, seconds_latency=0.0)
        rival = self._rival() if self.race else None
        started = time.perf_counter()
        candidate = self.compressor.candidate(policy)
        built = time.perf_counter()
        score = self.scorer.score(candidate, rival)
        scored = time.perf_counter()
        cost = self.compressor.cost_model.cost(policy)
        seconds = built - started, scored - built
        outcome = Outcome(
            score.accuracy, score.images, score.stopped, cost, *seconds, score.divergence
        )
        if self.deployment is not None and not score.stopped:
            comparison = self.deployment.measure(candidate)
            outcome = replace(
                outcome,
                latency_s=comparison.candidate.median_s,
                relative_latency=comparison.relative,
                latency_settled=comparison.settled,
                seconds_latency=time.perf_counter() - scored,
            )
        self.remember(policy, outcome, score)
        return outcome

    def knows(self, policy: Policy) -> bool:
        """Whether a policy is in the record."""
        return policy.to_json() in self._record

    def remember(self, policy: Policy, outcome: Outcome, score: Score | None = None) -> None:
        """Take over an outcome, as when a run is resumed."""
        self._record[policy.to_json()] = outcome
        best = None if self._best_policy is None else self._record[self._best_policy.to_json()]
        slow = self.ceiling is not None and (
            outcome.relative_latency is None or outcome.relative_latency > self.ceiling
        )
        if not outcome.stopped and not slow and (best is None or outcome.quality > best.quality):
            self._best_policy, self._best_score = policy, score

    def _rival(self) -> Score | None:
        """Score of the best policy so far; scored again if only its outcome was taken over."""
        if self._best_policy is not None and self._best_score is None:
            self._best_score = self.scorer.score(self.compressor.candidate(self._best_policy))
        return self._best_score
