"""A search as a sequence of steps, from what is asked for to what is found."""

from __future__ import annotations

import hashlib
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from torch import Tensor, nn

from sartor.agents import AgentFactory, name_of
from sartor.budget import Budget
from sartor.compression import Compressor
from sartor.compression.modules import trainable_copy
from sartor.data import Data
from sartor.errors import UsageError
from sartor.pipeline._choices import (
    choose_agent,
    choose_budget,
    choose_reward,
    choose_target,
    with_names,
)
from sartor.pipeline._counted import is_unsettled, mean_seconds, versions
from sartor.pipeline._found import Found, SearchFiles
from sartor.pipeline._judge import Judge, Verdict
from sartor.pipeline._measurements import measure_layers
from sartor.pipeline._options import SearchOptions
from sartor.pipeline._report import Entry, Layers, Report
from sartor.pipeline._setup import make_compressor, make_problem, make_scorer, read_base
from sartor.policy import Policy
from sartor.problem import Problem
from sartor.rewards import Reward
from sartor.scoring import Evaluator, Scorer
from sartor.search import (
    Episode,
    MemoryRecord,
    OnEpisode,
    Search,
    SearchPlan,
    Study,
    finalists,
)
from sartor.targets import Deployment, Target

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
        base: What an earlier run has decided.
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
    base: Policy | None
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
        base = read_base(options)
        compressor = make_compressor(model, examples, calibration, options, where)
        return cls(compressor, bounds, data, evaluate, options, who, rewarded, where, base, started)

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
        return Found(
            policy=judged.verdict.policy,
            model=model,
            report=report,
            stopped=search.stopped,
            compressor=self.compressor,
            episodes=tuple(episodes),
            settings=self._settings(),
        )

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
            base=self.base,
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
        settings = asdict(self.options)
        for name in _MAY_CHANGE:
            del settings[name]
        del settings["compress"]["final_images"]
        settings["agent"] = name_of(self.agent)
        settings["reward"] = self.reward.name
        settings["budget"] = str(self.budget)
        if self.target is not None and not self.options.target:
            settings["target"] = self.target.name
        if self.base is not None:
            # The folder may have been moved; what it holds must be the same.
            policy = self.base.to_json().encode()
            settings["policy of the base"] = hashlib.sha256(policy).hexdigest()[:12]
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
            latencies_unsettled=sum(map(is_unsettled, episodes)),
            baselines=judged.baselines,
            original=judged.original,
            best=judged.best,
            layers=judged.layers,
            episodes=len(episodes),
            interrupted=search.stopped and len(episodes) < options.episodes,
            seconds=round(seconds, 3),
            seconds_per_episode=mean_seconds(episodes),
            policy=judged.verdict.policy,
            kept_whole=network.kept_whole,
            not_refitted=self.compressor.not_refitted(judged.verdict.policy),
            shared=network.shared,
            unknown_operators=network.unknown_operators,
            versions=versions(),
        )
