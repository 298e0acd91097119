"""From a goal to the smallest network that meets it: before the search, and after it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from sartor.agents import RULES, SearchContext
from sartor.budget import Bounded, Budget, Goal
from sartor.errors import BudgetError
from sartor.machine import IntArray, Progress, Step
from sartor.pipeline._goal import (
    Attempt,
    Reached,
    read_attempts,
    require_within_reach,
    share_to_search,
    smallest,
    write_attempts,
)
from sartor.pipeline._judge import Judge
from sartor.pipeline._judged import Verdict
from sartor.problem import Problem
from sartor.scoring import change_interval

#: Decides what a search is given: the best of the rules where nothing was searched.
_RULE = "knapsack"


@dataclass(eq=False)
class Aim:
    """A goal, and all that tells how small a network can be that meets it.

    Attributes:
        budget: With the goal.
        quantity: In what the smallest network is sought.
        metric: What is measured.
        judge: Scores what may be delivered.
        problem_of: The problem of any budget.
        context_of: What rules are given for a problem.
        progress: Is told of every network that is tried.
        file: Where it is kept what was tried before the search.
    """

    budget: Budget
    quantity: Bounded
    metric: str
    judge: Judge
    problem_of: Callable[[Budget], Problem]
    context_of: Callable[[Problem], SearchContext]
    progress: Progress
    file: Path | None
    _verdicts: dict[float, Verdict] = field(default_factory=dict)
    _needed: float = 1.0

    @property
    def goal(self) -> Goal:
        """How good a network has to be."""
        assert self.budget.goal is not None
        return self.budget.goal

    @property
    def floor(self) -> float:
        """What the metric has to reach on the validation images."""
        return self.goal.floor(self.judge.original.validation.accuracy)

    def within(self, share: float) -> Budget:
        """The bounds, with one more that a share of the original's cost sets."""
        return self.budget.with_ceiling(self.quantity, share)

    def to_search(self) -> Budget:
        """The bounds of the search, from the least that a rule needs to meet the goal.

        Raises `BudgetError` for a goal that the original misses.
        """
        original = self.judge.original.validation.accuracy
        require_within_reach(self.goal, self.floor, original, self.metric)

        tried = read_attempts(self.file)
        if tried is None:
            _, tried = smallest(self._by_rule, self.floor, 0.0, 1.0)
            write_attempts(self.file, tried)
        met = [attempt.share for attempt in tried if attempt.met]
        self._needed = min(met, default=1.0)

        share = share_to_search(self._needed)
        try:
            self.problem_of(self.within(share))
        except BudgetError:
            # No search needs less than the least that there is.
            share = self._needed
        return self.within(share)

    def settle(self, candidates: Sequence[IntArray]) -> tuple[Verdict, Reached]:
        """The smallest of some policies (counts), scaled to all costs, that meets the goal.

        Raises `BudgetError`, with what was reached, if none does.
        """
        attempt = self._by_search(candidates)
        low = 0.0
        tried: list[Attempt] = []
        for share in (share_to_search(self._needed), self._needed, 1.0):
            metric = attempt(share)
            met = metric is not None and metric >= self.floor
            if metric is not None:
                tried.append(Attempt(share, metric, met))
            if met:
                break
            low = share
        else:
            raise self._out_of_reach(tried)

        found, further = smallest(attempt, self.floor, low, share)
        verdict = self._verdicts[found]
        reached = Reached(
            goal=str(self.goal),
            quantity=self.quantity,
            floor=self.floor,
            share=found,
            attempts=(*tried, *further),
            change=self._change(verdict),
        )
        return verdict, reached

    def context_at(self, share: float) -> SearchContext:
        """What rules are given for a share of the original's cost that can be met."""
        return self.context_of(self.problem_of(self.within(share)))

    def _by_rule(self, share: float) -> float | None:
        problem = self._problem(share)
        if problem is None:
            return None
        ratios = RULES.get(_RULE)(self.context_of(problem))
        return self.judge.try_out(problem, problem.execute(ratios)).accuracy

    def _by_search(self, candidates: Sequence[IntArray]) -> Callable[[float], float | None]:
        def attempt(share: float) -> float | None:
            problem = self._problem(share)
            if problem is None:
                return None

            rule = RULES.get(_RULE)(self.context_of(problem))
            ratios = [counts / problem.sizes for counts in candidates]
            scaled = [problem.execute(proposed) for proposed in (*ratios, rule)]
            ceiling = problem.latency_ceiling(self.within(share))
            verdict = self.judge.choose(problem, scaled, ceiling)
            if verdict.score is None or not verdict.met:
                return None
            self._verdicts[share] = verdict
            return verdict.score.accuracy

        return attempt

    def _problem(self, share: float) -> Problem | None:
        """The problem at a share of the original's cost; None where that is too little."""
        self.progress(Step("judging", words=f"{self.quantity} {share:.1%}"))
        try:
            return self.problem_of(self.within(share))
        except BudgetError:
            # Bounds that cannot be met by themselves are the user's.
            self.problem_of(Budget(self.budget.bounds))
            return None

    def _change(self, verdict: Verdict) -> tuple[float, float] | None:
        after = None if verdict.score is None else verdict.score.correct
        before = self.judge.original.validation.correct
        if after is None or before is None:
            return None
        interval = change_interval(after, before)
        return interval.low, interval.high

    def _out_of_reach(self, tried: Sequence[Attempt]) -> BudgetError:
        reached = ", ".join(
            f"{self.metric} {attempt.metric:.2%} at {attempt.share:.0%} of {self.quantity}"
            for attempt in tried
        )
        return BudgetError(
            f"budget {str(self.budget)!r} was not met: it needs {self.metric} {self.floor:.2%}, "
            f"reached was {reached or 'nothing within the bounds'}"
        )
