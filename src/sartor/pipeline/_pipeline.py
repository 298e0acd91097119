"""A search as a sequence of steps, from what is asked for to what is found."""

from __future__ import annotations

import platform
import statistics
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, fx, nn

import sartor
from sartor.agents import AgentFactory, name_of
from sartor.budget import Budget
from sartor.compression import Compressor
from sartor.compression.modules import trainable_copy
from sartor.data import Data
from sartor.errors import UsageError
from sartor.graph import Network
from sartor.pipeline._choices import (
    choose_agent,
    choose_budget,
    choose_reward,
    choose_target,
    with_names,
)
from sartor.pipeline._judge import Judge, Verdict
from sartor.pipeline._measurements import measure_layers
from sartor.pipeline._options import SearchOptions
from sartor.pipeline._report import Entry, EpisodeSeconds, Layers, Report
from sartor.pipeline._setup import make_compressor, make_problem, make_scorer
from sartor.policy import Policy
from sartor.problem import Problem
from sartor.rewards import Reward
from sartor.scoring import Evaluator, Scorer
from sartor.search import Episode, MemoryRecord, Search, SearchPlan, Study, finalists
from sartor.targets import Deployment, Target

#: Called after every episode, with it and the best so far.
OnEpisode = Callable[[Episode, Episode], None]

#: Options of a search that may be others when it goes on; files may have been moved.
_MAY_CHANGE = (
    "episodes",
    "max_time",
    "finalists",
    "baselines",
    "base",
    "sensitivity",
    "table",
    "command",
)


@dataclass(frozen=True)
class SearchFiles:
    """Where a search keeps what it need not do twice; nowhere what is None.

    Attributes:
        episodes: Every policy scored; a search that was interrupted goes on from it.
        latencies: Latencies of single layers.
        profile: Shares of layers in the whole latency.
        sensitivity: How sensitive each layer is.
    """

    episodes: Path | None = None
    latencies: Path | None = None
    profile: Path | None = None
    sensitivity: Path | None = None


@dataclass(frozen=True, eq=False)
class Found:
    """What a search found.

    Attributes:
        policy: What was decided.
        model: The compressed network, in evaluation mode: a plain `torch.nn.Module`.
        report: How accurate it is and what it costs, beside the original and the rules.
        stopped: Whether Ctrl-C was pressed, if only in the last episode: callers that have more
            to do should not.
        compressor: What built it.
    """

    policy: Policy
    model: fx.GraphModule
    report: Report
    stopped: bool
    compressor: Compressor

    @property
    def network(self) -> Network:
        """The original, traced."""
        return self.compressor.network


@dataclass(frozen=True, eq=False)
class _Judged:
    """The candidate that is delivered, and every network that is reported."""

    verdict: Verdict
    baselines: dict[str, Entry]
    original: Entry
    best: Entry
    layers: Layers


@dataclass(frozen=True, eq=False)
class Pipeline:
    """A search that is ready to run: `prepare` makes one.

    Attributes:
        compressor: Builds the candidates of the traced network.
        budget: What a candidate may cost.
        data: Images; None where only ``evaluate`` scores.
        evaluate: A measure of the user's own, from 0 to 1.
        options: How to search.
        agent: Who decides.
        reward: What is maximised.
        target: Where candidates are measured.
        started: When it began, by `time.perf_counter`.
    """

    compressor: Compressor
    budget: Budget
    data: Data | None
    evaluate: Callable[[nn.Module], float] | None
    options: SearchOptions
    agent: str | AgentFactory
    reward: Reward
    target: Target | None
    started: float = field(default_factory=time.perf_counter)

    @classmethod
    def prepare(
        cls,
        model: nn.Module,
        data: Data | None = None,
        *,
        budget: str | Budget = "macs<=50%",
        evaluate: Callable[[nn.Module], float] | None = None,
        example_inputs: Tensor | Sequence[Tensor] | None = None,
        options: SearchOptions | None = None,
        agent: str | AgentFactory | None = None,
        reward: str | Reward | None = None,
        target: str | Target | None = None,
    ) -> Pipeline:
        """Check what is asked for, trace the network, prove that slicing is right there.

        Raises what `sartor.compress` raises.
        """
        started = time.perf_counter()
        names = {"agent": agent, "reward": reward, "target": target}
        options = with_names(options or SearchOptions(), **names)
        bounds = choose_budget(budget)
        who = choose_agent(agent, options)
        rewarded = choose_reward(reward, options, who, bounds, has_images=evaluate is None)

        calibration = data.calibration.normalized() if data else None
        examples = example_inputs if example_inputs is not None else calibration
        if examples is None or (data is None and evaluate is None):
            raise UsageError("compress needs data, or both evaluate and example_inputs")

        where = choose_target(target, options)
        compressor = make_compressor(model, examples, calibration, options, where)
        return cls(compressor, bounds, data, evaluate, options, who, rewarded, where, started)

    def run(self, files: SearchFiles | None = None, on_episode: OnEpisode | None = None) -> Found:
        """Search, judge the best, report.

        Raises `BudgetError` for a budget that cannot be met, `RunError` if the episodes on disk
        are of another search.
        """
        files = files or SearchFiles()
        with tempfile.TemporaryDirectory() as scratch:
            deployment = self._deploy(Path(scratch))
            scorer = self._scorer(deployment)
            problem = self._problem(deployment, files)
            search = self._search(problem, scorer, deployment, files, on_episode)
            episodes = search.run()
            if not finalists(episodes, 1):
                raise UsageError("the search ended before its first episode; nothing to deliver")
            judged = self._judge(problem, scorer, deployment, search, episodes)

        report = self._report(problem, search, episodes, judged)
        model = trainable_copy(judged.verdict.network)
        return Found(judged.verdict.policy, model, report, search.stopped, self.compressor)

    def _deploy(self, scratch: Path) -> Deployment | None:
        if self.target is None:
            return None
        return Deployment.build(self.target, self.compressor.network, scratch)

    def _scorer(self, deployment: Deployment | None) -> Scorer:
        return make_scorer(
            self.data,
            self.evaluate,
            self.options,
            self.compressor.network,
            deployment,
            compare=self.reward.needs_images,
        )

    def _problem(self, deployment: Deployment | None, files: SearchFiles) -> Problem:
        return make_problem(
            self.compressor,
            self.budget,
            self.options,
            self.target,
            deployment=deployment,
            latencies=files.latencies,
            enforced=self.reward.enforces_budget,
        )

    def _search(
        self,
        problem: Problem,
        scorer: Scorer,
        deployment: Deployment | None,
        files: SearchFiles,
        on_episode: OnEpisode | None,
    ) -> Search:
        ceiling = problem.latency_ceiling(self.budget)
        evaluator = Evaluator(
            self.compressor,
            scorer,
            race=self.reward.can_race,
            deployment=deployment,
            ceiling=ceiling,
        )
        plan = SearchPlan(
            self.agent,
            self.options.episodes,
            self.options.seed,
            self.options.seed_with,
            self.reward,
            self.options.max_time,
            ceiling,
        )
        record = Study(files.episodes, self._settings()) if files.episodes else MemoryRecord()
        omega, latency = measure_layers(
            self.compressor,
            problem,
            deployment,
            self.options,
            self.agent,
            sensitivity_file=files.sensitivity,
            profile_file=files.profile,
        )
        return Search(
            problem,
            evaluator,
            plan,
            record,
            on_episode=on_episode or (lambda episode, best: None),
            sensitivity=omega,
            latency=latency,
        )

    def _settings(self) -> dict[str, Any]:
        """What may not change while a search goes on: what its episodes depend on."""
        settings = {
            name: value for name, value in asdict(self.options).items() if name not in _MAY_CHANGE
        }
        settings["compress"].pop("final_images")
        settings["agent"] = name_of(self.agent)
        settings["reward"] = self.reward.name
        settings["budget"] = str(self.budget)
        return settings

    def _judge(
        self,
        problem: Problem,
        scorer: Scorer,
        deployment: Deployment | None,
        search: Search,
        episodes: Sequence[Episode],
    ) -> _Judged:
        judge = Judge(
            self.compressor,
            scorer,
            self.data,
            reward=self.reward,
            custom=self.evaluate,
            deployment=deployment,
        )
        baselines = {rule: judge.rule(rule, search.prepare()) for rule in self.options.baselines}
        best = finalists(episodes, self.options.finalists)
        candidates = [problem.counts(episode.executed) for episode in best]
        verdict = judge.choose(problem, candidates, problem.latency_ceiling(self.budget))

        return _Judged(
            verdict=verdict,
            baselines=baselines,
            original=judge.entry(self.compressor.network.module, Policy()),
            best=judge.entry(verdict.network, verdict.policy, verdict.latency),
            layers=Layers(
                original=judge.layers(Policy()),
                best=judge.layers(verdict.policy, verdict.network),
            ),
        )

    def _report(
        self, problem: Problem, search: Search, episodes: Sequence[Episode], judged: _Judged
    ) -> Report:
        options = self.options
        network = self.compressor.network
        seconds = time.perf_counter() - self.started + search.seconds_before
        return Report(
            budget=str(self.budget),
            budget_enforced=self.reward.enforces_budget,
            budget_met=judged.verdict.met,
            latency_ceiling=problem.latency_ceiling(self.budget),
            agent=name_of(self.agent),
            seed_with=options.seed_with,
            reward=self.reward.name,
            methods=options.methods,
            state=options.state,
            granularity=options.granularity,
            seed=options.seed,
            target=None if self.target is None else self.target.describe(),
            latency_prediction_error=problem.latency.error() if problem.latency else None,
            latencies_unsettled=sum(map(_is_unsettled, episodes)),
            baselines=judged.baselines,
            original=judged.original,
            best=judged.best,
            layers=judged.layers,
            episodes=len(episodes),
            interrupted=search.stopped and len(episodes) < options.episodes,
            seconds=round(seconds, 3),
            seconds_per_episode=_mean_seconds(episodes),
            policy=judged.verdict.policy,
            kept_whole=network.kept_whole,
            not_refitted=self.compressor.not_refitted(judged.verdict.policy),
            shared=network.shared,
            unknown_operators=network.unknown_operators,
            versions=_versions(),
        )


def _is_unsettled(episode: Episode) -> bool:
    """Whether the machine was too busy for the measurement of an episode's latency."""
    return episode.outcome.seconds_latency > 0 and not episode.outcome.latency_settled


def _mean_seconds(episodes: Sequence[Episode]) -> EpisodeSeconds:
    count = len(episodes)
    total = sum(episode.seconds for episode in episodes) / count
    parts = {
        "refit": sum(episode.outcome.seconds_build for episode in episodes) / count,
        "evaluate": sum(episode.outcome.seconds_score for episode in episodes) / count,
        "latency": sum(episode.outcome.seconds_latency for episode in episodes) / count,
        "agent": sum(episode.seconds_agent for episode in episodes) / count,
    }
    rest = max(0.0, total - sum(parts.values()))
    median = statistics.median(episode.seconds for episode in episodes)
    rounded = {name: round(value, 4) for name, value in parts.items()}
    return EpisodeSeconds(
        total=round(total, 4), **rounded, rest=round(rest, 4), median=round(median, 4)
    )


def _versions() -> dict[str, str]:
    return {
        "sartor": sartor.__version__,
        "torch": str(torch.__version__),
        "python": platform.python_version(),
    }
