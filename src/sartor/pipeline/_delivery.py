"""From the episodes of a search to what is delivered, and all that is reported beside it."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from sartor.agents import SearchContext
from sartor.budget import Budget
from sartor.machine import Progress, Step
from sartor.pipeline._aim import Aim
from sartor.pipeline._entries import Entry, Layers, Repair, Timed
from sartor.pipeline._judge import Judge
from sartor.pipeline._judged import Judged, Verdict
from sartor.pipeline._prepared import Prepared
from sartor.pipeline._repairs import Repairs
from sartor.pipeline._timed import time_delivered
from sartor.policy import Policy
from sartor.problem import Problem
from sartor.search import Episode, Search, finalists


class Delivery:
    """Chooses among the finalists, repairs and times what is delivered.

    Args:
        prepared: What was asked for.
        judge: Scores and measures.
        aim: What leads to a goal of the budget; None without one.
        progress: Is told of every step.
        repairs: Folder of the checkpoints of repairs; None if they are not kept.
    """

    def __init__(
        self,
        prepared: Prepared,
        judge: Judge,
        *,
        aim: Aim | None,
        progress: Progress,
        repairs: Path | None,
    ) -> None:
        self._prepared = prepared
        self._judge = judge
        self._aim = aim
        self._progress = progress
        self._folder = repairs

    def decide(
        self, problem: Problem, budget: Budget, *, search: Search, episodes: Sequence[Episode]
    ) -> Judged:
        """What is delivered of a search."""
        judge = self._judge
        repairs = self._repairs(episodes)
        best = finalists(episodes, self._prepared.options.finalists)
        candidates = [problem.counts(episode.executed) for episode in best]
        reached = None
        ceiling = problem.latency_ceiling(budget)
        if self._aim is None:
            # Rules first: choosing may tighten the budget of the problem, by which rules decide.
            baselines = self._baselines(search.prepare())
            verdict = judge.choose(problem, candidates, ceiling, repairs)
        else:
            verdict, reached = self._aim.settle(candidates)
            baselines = self._baselines(self._aim.context_at(reached.share))

        # Repairs, and the runtimes that time what is delivered, need the memory.
        self._prepared.compressor.release()
        if repairs is not None:
            verdict = judge.repair(verdict, ceiling, repairs)
        return Judged(
            verdict=verdict,
            baselines=baselines,
            original=judge.original_entry(verdict.latency),
            best=judge.entry(verdict.network, verdict.policy, verdict.latency),
            layers=Layers(
                original=judge.layers(Policy()),
                best=judge.layers(verdict.policy, verdict.network),
            ),
            timed=self._time(verdict),
            reached=reached,
            repair=None if repairs is None else self._repair(verdict, repairs),
        )

    def _repairs(self, episodes: Sequence[Episode]) -> Repairs | None:
        data = self._prepared.data
        return Repairs.of_search(
            self._prepared.compressor,
            None if data is None else data.calibration,
            self._prepared.task,
            self._prepared.options,
            episodes=episodes,
            folder=self._folder,
            progress=self._progress,
        )

    def _repair(self, verdict: Verdict, repairs: Repairs) -> Repair | None:
        """What the report says of a repair; None where it brought nothing."""
        if verdict.repaired is None or verdict.refitted is None:
            return None
        refitted = self._judge.entry(verdict.refitted, verdict.policy, verdict.latency)
        return repairs.entry(verdict.repaired, refitted, since=self._prepared.started)

    def _time(self, verdict: Verdict) -> Timed | None:
        """What is delivered beside the original: as the target measured it, else here and now.

        None for targets that do not measure: what is so here need not be so there.
        """
        target = self._prepared.target
        options = self._prepared.options
        if target is not None and verdict.latency is not None:
            return Timed.of(verdict.latency, target.describe())
        if target is not None or not options.timed:
            return None
        original = self._prepared.compressor.network
        return time_delivered(original, verdict.network, options.target_options)

    def _baselines(self, context: SearchContext) -> dict[str, Entry]:
        """What rules give at the same cost."""
        baselines = {}
        rules = self._prepared.options.baselines
        for done, rule in enumerate(rules):
            self._progress(Step("scoring baselines", done, len(rules), rule))
            baselines[rule] = self._judge.rule(rule, context)
        return baselines
