"""The last word on candidates, and what is reported of them.

They are scored on all validation images in fp32, measured on the target until that is sure, and
tested once.
"""

from __future__ import annotations

import functools
import math
import weakref
from collections.abc import Callable, Sequence
from dataclasses import asdict, replace

import torch
from torch import fx, nn

from sartor.agents import RULES, SearchContext
from sartor.compression import Compressor
from sartor.cost import Band, HardwareCosts
from sartor.data import Data
from sartor.machine import IntArray, Note, Progress, Step, silent
from sartor.pipeline._entries import Entry, LayerEntry, Ratio
from sartor.pipeline._judged import Scores, Verdict
from sartor.pipeline._repairs import MOST_FINALISTS, Repairs
from sartor.policy import Policy
from sartor.problem import Problem
from sartor.scoring import (
    ImageScorer,
    Interval,
    Outcome,
    Score,
    Scorer,
    change_interval,
    mean_interval,
)
from sartor.scoring.rewards import Reward
from sartor.targets import SURE, Comparison, Deployment
from sartor.tasks import CLASSIFICATION, Task

#: Times the finalists are projected onto a tighter budget because all were slower than predicted.
_ROUNDS = 6
#: Aimed at beyond what was missed, so that measuring again does not miss by a hair.
_MARGIN = 1.01


class Judge:
    """Scores and measures what may be delivered.

    Args:
        compressor: Builds the candidates.
        scorer: Gives the reward where there are no images, or a measure of the user's own.
        data: Images.
        reward: What is maximised.
        custom: A measure of the user's own.
        task: What outputs are compared with labels by.
        deployment: Builds and measures candidates on the target.
        progress: Is told of every candidate.
    """

    def __init__(
        self,
        compressor: Compressor,
        scorer: Scorer,
        data: Data | None,
        *,
        reward: Reward,
        custom: Callable[[nn.Module], float] | None = None,
        task: Task = CLASSIFICATION,
        deployment: Deployment | None = None,
        progress: Progress = silent,
    ) -> None:
        self.compressor = compressor
        self.progress = progress
        self.deployment = deployment
        self.reward = reward
        self.validation: Scorer = scorer
        self.test: Scorer | None = None
        # What was scored to be chosen is reported, too; networks that nobody holds are forgotten.
        self._validated: weakref.WeakKeyDictionary[nn.Module, Score] = weakref.WeakKeyDictionary()
        if data is None or custom is not None:
            return

        exact = functools.partial(
            ImageScorer,
            task=task,
            dtype=torch.float32,
            deployment=deployment,
            device=compressor.device,
        )
        original = compressor.network.module if reward.needs_images else None
        self.validation = exact(data.validation, original=original)
        if data.test is not None:
            self.test = exact(data.test)

    @functools.cached_property
    def original(self) -> Scores:
        """Of the original, on all validation images and on the test images."""
        return self._scores(self.compressor.network.module)

    def validate(self, network: fx.GraphModule) -> Score:
        """How good a network is on all validation images; scored once."""
        if network not in self._validated:
            self._validated[network] = self.validation.score(network)
        return self._validated[network]

    def choose(
        self,
        problem: Problem,
        candidates: Sequence[IntArray],
        ceiling: float | None,
        repairs: Repairs | None = None,
    ) -> Verdict:
        """The policy (counts) with the largest reward among those under the ceiling on latency.

        The most promising are repaired briefly before one is chosen, where there are ``repairs``.

        What is returned met it twice, the second time after all were scored: a machine can be kind
        for as long as one measurement takes. If none does and the budget of the problem bounds
        latency, all are projected onto a tighter one, a few times; after that the fastest is
        returned, not ``met``.
        """
        if ceiling is None or not problem.budget.bounds_latency:
            verdicts = self._verdicts(problem, candidates, ceiling)
            verdicts = self._repaired_briefly(verdicts, ceiling, repairs)
            return max(verdicts, key=lambda verdict: verdict.reward)

        for _ in range(_ROUNDS):
            verdicts = self._verdicts(problem, candidates, ceiling)
            verdicts = self._repaired_briefly(verdicts, ceiling, repairs)
            # The best first: measuring stops at the first that is confirmed.
            verdicts.sort(key=lambda verdict: -verdict.reward)
            for place, verdict in enumerate(verdicts):
                if not verdict.met:
                    continue
                confirmed = self._confirm(verdict, ceiling)
                if confirmed.met:
                    return confirmed
                verdicts[place] = confirmed

            fastest = min(verdict.slowest for verdict in verdicts)
            missed = fastest / ceiling
            problem.tighten(missed * _MARGIN)
            candidates = [problem.execute(counts / problem.sizes) for counts in candidates]

        return min(verdicts, key=lambda verdict: verdict.slowest)

    def _verdicts(
        self, problem: Problem, candidates: Sequence[IntArray], ceiling: float | None
    ) -> list[Verdict]:
        # Arrays are not hashable; their bytes are. Agents often propose one policy twice.
        distinct = {counts.tobytes(): counts for counts in candidates}
        verdicts: list[Verdict] = []
        for counts in distinct.values():
            self.progress(Step("judging", len(verdicts), len(distinct)))
            verdict = self._verdict(problem, counts, ceiling)
            verdicts.append(verdict)
        self.progress(Step("judging", len(distinct), len(distinct)))
        return verdicts

    def repair(self, verdict: Verdict, ceiling: float | None, repairs: Repairs) -> Verdict:
        """What is to be delivered, repaired; as it was where that brings nothing."""
        found = repairs.wholly(verdict.network, verdict.policy)
        if found is None:
            return verdict
        after = self._with_network(verdict, found.model, ceiling)
        # The ceiling that it was chosen under may have been another one, on the way to a goal.
        before = -math.inf
        if verdict.score is not None:
            before = self._reward(verdict.policy, verdict.score, verdict.latency, ceiling)
        if found.model is verdict.network or after.reward <= before:
            self.progress(Note("the repair brought nothing on the validation images"))
            return replace(verdict, repaired=found)
        return replace(after, repaired=found)

    def _repaired_briefly(
        self, verdicts: list[Verdict], ceiling: float | None, repairs: Repairs | None
    ) -> list[Verdict]:
        """The same, the most promising of them repaired; not one that is alone."""
        if repairs is None or not repairs.wanted_briefly:
            return verdicts
        ranked = sorted(verdicts, key=lambda verdict: -verdict.reward)
        promising = [verdict for verdict in ranked if verdict.score is not None][:MOST_FINALISTS]
        if len(promising) < 2:
            return verdicts

        repaired = []
        for verdict in promising:
            network = repairs.briefly(verdict.network, verdict.policy)
            repaired.append(self._with_network(verdict, network, ceiling))
        return [*repaired, *(verdict for verdict in ranked if verdict not in promising)]

    def try_out(self, problem: Problem, counts: IntArray) -> Score:
        """How good a policy (counts) would be if it were delivered, on all validation images."""
        policy = problem.policy(counts)
        network = self.compressor.candidate(policy, final=True)
        return self.validation.score(network)

    def rule(self, rule: str, context: SearchContext) -> Entry:
        """Entry of a rule's policy, refitted like the finalists."""
        decide = RULES.get(rule)
        counts = context.problem.execute(decide(context))
        policy = context.problem.policy(counts)

        network = self.compressor.candidate(policy, final=True)
        latency = self._measure(network)
        return self.entry(network, policy, latency)

    def entry(
        self, network: fx.GraphModule, policy: Policy, latency: Comparison | None = None
    ) -> Entry:
        """Accuracies and costs, absolute and as ratios."""
        return self._entry(self._scores(network), policy, latency)

    def original_entry(self, latency: Comparison | None) -> Entry:
        """Of the original, with what measuring a candidate beside it said of its ``latency``."""
        beside_itself = None if latency is None else latency.of_original
        return self._entry(self.original, Policy(), beside_itself)

    def _entry(self, scores: Scores, policy: Policy, latency: Comparison | None) -> Entry:
        cost = self.compressor.cost_model.cost(policy)
        ratio = cost.ratio(self.compressor.cost_model.original)
        test = scores.test
        return Entry(
            validation=scores.validation.accuracy,
            test=None if test is None else test.accuracy,
            **asdict(cost),
            latency=latency,
            ratio=Ratio(**ratio),
            validation_interval=_interval(scores.validation),
            test_interval=_interval(test),
            change=self._change(scores),
            estimates=self._estimates(policy),
        )

    def _estimates(self, policy: Policy) -> dict[str, Band]:
        """What the target's device gives and is taken by it; nothing where it is not estimated."""
        if self._hardware is None:
            return {}
        return self._hardware.bands(*self.compressor.cost_model.row(policy))

    @functools.cached_property
    def _hardware(self) -> HardwareCosts | None:
        if self.deployment is None:
            return None
        return self.deployment.target.costs(self.compressor.cost_model)

    def _scores(self, network: fx.GraphModule) -> Scores:
        validation = self.validate(network)
        test = self.test.score(network) if self.test else None
        return Scores(validation, test)

    def _change(self, scores: Scores) -> Interval | None:
        """Of the accuracy from the original's, image by image."""
        after = scores.last.correct
        before = self.original.last.correct
        if scores is self.original or after is None or before is None:
            return None
        return change_interval(after, before)

    def layers(
        self, policy: Policy, candidate: fx.GraphModule | None = None
    ) -> tuple[LayerEntry, ...]:
        """Every layer of a candidate, or of the original; timed where the target profiles."""
        seconds: dict[str, float] = {}
        deployment = self.deployment
        if deployment is not None and deployment.target.profiles:
            seconds = deployment.profile(candidate)

        entries = []
        cost_model = self.compressor.cost_model
        for cost in cost_model.by_layer(policy):
            # A runtime may merge a layer into another, which the profiler then does not name.
            timed = seconds.get(cost.name)
            entry = LayerEntry(**asdict(cost), seconds=timed)
            entries.append(entry)
        return tuple(entries)

    def _verdict(self, problem: Problem, counts: IntArray, ceiling: float | None) -> Verdict:
        policy = problem.policy(counts)
        network = self.compressor.candidate(policy, final=True)
        latency = self._measure(network)
        if latency is not None and latency.settled:
            # Should all miss the budget, the next projection predicts better.
            problem.correct(counts, latency.relative)

        met = ceiling is None or (latency is not None and latency.high <= ceiling)
        if problem.budget.bounds_latency and not met:
            # It cannot be delivered: scoring it would cost all validation images for nothing.
            return Verdict(policy, network, -math.inf, latency, met)

        score = self.validate(network)
        reward = self._reward(policy, score, latency, ceiling)
        return Verdict(policy, network, reward, latency, met, score)

    def _with_network(
        self, verdict: Verdict, network: fx.GraphModule, ceiling: float | None
    ) -> Verdict:
        """The verdict on a network of the same shape, and so as fast, with other weights."""
        if network is verdict.network:
            return verdict
        score = self.validate(network)
        return replace(
            verdict,
            network=network,
            score=score,
            reward=self._reward(verdict.policy, score, verdict.latency, ceiling),
            refitted=verdict.refitted or verdict.network,
        )

    def _reward(
        self, policy: Policy, score: Score, latency: Comparison | None, ceiling: float | None
    ) -> float:
        outcome = Outcome(
            accuracy=score.accuracy,
            images=score.images,
            stopped=False,
            cost=self.compressor.cost_model.cost(policy),
            divergence=score.divergence,
            relative_latency=None if latency is None else latency.relative,
        )
        return self.reward(outcome, ceiling)

    def _confirm(self, verdict: Verdict, ceiling: float) -> Verdict:
        """The same, measured again; the slower of both measurements counts."""
        again = self._measure(verdict.network)
        if again is None or again.high <= verdict.slowest:
            return verdict
        met = again.high <= ceiling
        return replace(verdict, latency=again, met=met)

    def _measure(self, network: fx.GraphModule) -> Comparison | None:
        if self.deployment is None or not self.deployment.times:
            return None
        return self.deployment.measure(network, SURE)


def _interval(score: Score | None) -> Interval | None:
    """Where an accuracy truly lies that was counted on images."""
    if score is None or score.correct is None:
        return None
    return mean_interval(score.correct)
