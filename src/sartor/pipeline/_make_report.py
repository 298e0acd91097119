"""What a search found, as its report says it."""

from __future__ import annotations

import time
from collections.abc import Sequence

from sartor.agents import name_of
from sartor.budget import Budget
from sartor.compression import deployable
from sartor.machine import describe_device
from sartor.pipeline._counted import is_unsettled, mean_seconds, versions
from sartor.pipeline._judged import Judged, Verdict
from sartor.pipeline._original import OriginalScore
from sartor.pipeline._prepared import Prepared
from sartor.pipeline._report import Report
from sartor.pipeline._setup import multiple_of
from sartor.problem import Problem
from sartor.search import Episode, Search
from sartor.targets import Design


def make_report(
    prepared: Prepared,
    problem: Problem,
    budget: Budget,
    *,
    search: Search,
    episodes: Sequence[Episode],
    judged: Judged,
    original: OriginalScore,
) -> Report:
    """The report of a search.

    Args:
        prepared: What was asked for.
        problem: What was decided on.
        budget: The bounds of the search, those that a goal led to among them.
        search: What ran.
        episodes: All that was scored.
        judged: What is delivered, and what it is compared with.
        original: What is known of the original.
    """
    options = prepared.options
    network = prepared.compressor.network
    verdict = judged.verdict
    # Processes that were interrupted count with what they took.
    seconds = time.perf_counter() - prepared.started + search.seconds_before
    # What is estimated in closed form predicts itself.
    predicts = problem.latency if problem.hardware is None else None
    error = None if predicts is None else predicts.error()
    has_all = len(episodes) >= options.most_episodes

    return Report(
        budget=str(prepared.budget),
        task=prepared.task.name,
        metric=prepared.metric,
        goal=judged.reached,
        budget_enforced=prepared.reward.enforces_budget,
        budget_met=verdict.met,
        latency_ceiling=problem.latency_ceiling(budget),
        agent=name_of(prepared.agent),
        seed_with=options.seed_with,
        reward=prepared.reward.name,
        methods=options.methods,
        state=options.state,
        granularity=options.granularity,
        multiple=str(multiple_of(options, prepared.target)),
        seed=options.seed,
        target=None if prepared.target is None else prepared.target.describe(),
        latency_prediction_error=error,
        latencies_unsettled=sum(map(is_unsettled, episodes)),
        baselines=judged.baselines,
        original=judged.original,
        warnings=original.warnings,
        best=judged.best,
        repair=judged.repair,
        layers=judged.layers,
        episodes=len(episodes),
        interrupted=search.stopped and not has_all,
        seconds=round(seconds, 3),
        seconds_per_episode=mean_seconds(episodes),
        timed=judged.timed,
        design=_design(prepared, verdict),
        policy=verdict.policy,
        kept_whole=network.kept_whole,
        not_refitted=prepared.compressor.not_refitted(verdict.policy),
        shared=network.shared,
        unknown_operators=network.unknown_operators,
        device=describe_device(prepared.compressor.device),
        versions=versions(),
    )


def _design(prepared: Prepared, verdict: Verdict) -> Design | None:
    """What is delivered, as the target's device would have it."""
    if prepared.target is None:
        return None
    inputs = prepared.compressor.network.example_inputs
    return prepared.target.design(deployable(verdict.network), inputs)
