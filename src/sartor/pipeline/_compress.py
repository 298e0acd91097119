"""The public line: from a trained network, data and a budget to a smaller network."""

from __future__ import annotations

import platform
import statistics
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, fx, nn

import sartor
from sartor.agents import as_factory, class_of
from sartor.budget import Budget
from sartor.compression import Compressor, Origin, save_network
from sartor.compression.modules import trainable_copy
from sartor.data import Data
from sartor.errors import UsageError
from sartor.graph import Network
from sartor.machine import alone_in, write_text
from sartor.pipeline._judge import Judge
from sartor.pipeline._options import SearchOptions
from sartor.pipeline._report import EpisodeSeconds, Layers, Report
from sartor.pipeline._setup import (
    make_compressor,
    make_problem,
    make_scorer,
    make_target,
    measure_layers,
)
from sartor.policy import Policy
from sartor.rewards import Reward, as_reward
from sartor.scoring import Evaluator
from sartor.search import Episode, MemoryRecord, Search, SearchPlan, Study, finalists
from sartor.targets import Deployment, Target

#: Options of a search that may be others when it goes on; folders may have been moved.
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
class Result:
    """What a search found. ``model`` is a plain `nn.Module` in evaluation mode; ``report`` is what result.json holds.

    ``stopped`` says whether Ctrl-C was heard while it ran, if only in the last episode: whoever has more to do should not.
    """

    policy: Policy
    model: fx.GraphModule
    network: Network
    report: Report
    origin: Origin
    compressor: Compressor
    stopped: bool = False

    def save(self, folder: str | Path) -> Path:
        """Write ``model.safetensors``, ``policy.json``, ``network.json`` and ``result.json``; `sartor.load` reads them."""
        folder = Path(folder)
        kept = self.compressor.kept(self.policy)
        save_network(
            folder,
            self.network,
            self.model,
            self.policy,
            kept=kept,
            origin=self.origin,
            scheme=self.compressor.scheme,
        )
        write_text(folder / "result.json", self.report.to_json())
        return folder


def compress(
    model: nn.Module,
    data: Data | None = None,
    *,
    budget: str | Budget = "macs<=50%",
    evaluate: Callable[[nn.Module], float] | None = None,
    example_inputs: Tensor | Sequence[Tensor] | None = None,
    options: SearchOptions | None = None,
    target: Target | None = None,
    out: str | Path | None = None,
    on_start: Callable[[], None] | None = None,
    on_episode: Callable[[Episode, Episode], None] | None = None,
    origin: Origin | None = None,
) -> Result:
    """Search how much of each layer to prune so that ``model`` meets ``budget`` and stays as accurate as possible.

    Give ``data``, or ``evaluate`` (accuracy of a network, from 0 to 1) with ``example_inputs`` (a batch of one). With
    ``data.calibration`` the pruned layers are refitted. With ``out``, every episode is on disk at once and an interrupted
    search goes on where it stopped when it is called again; ``on_start`` is called once nobody else can search there. ``target``
    is an object to use instead of the one that ``options`` name. ``model`` is not changed.

    Raises `BudgetError` for a budget that cannot be met, `TraceError` for a network that cannot be traced, `WeightsError`
    for NaN weights, `DataError` for data that does not fit, `RunError` while another process searches in ``out``, or if a search
    of other options was begun there.
    """
    options = options or SearchOptions()
    parsed = budget if isinstance(budget, Budget) else Budget.parse(budget)
    reward = _reward(options, evaluate, parsed)
    options = replace(options, reward=reward.name)
    started = time.perf_counter()
    calibration = data.calibration.normalized() if data else None
    examples = example_inputs if example_inputs is not None else calibration
    if examples is None or (data is None and evaluate is None):
        raise UsageError("compress needs data, or both evaluate and example_inputs")
    target = target or make_target(options)
    compressor = make_compressor(model, examples, calibration, options, target)
    network = compressor.network
    folder = Path(out) if out else None
    with tempfile.TemporaryDirectory() as scratch, alone_in(folder):
        if on_start is not None:
            on_start()
        deployment = Deployment.build(target, network, Path(scratch)) if target else None
        scorer = make_scorer(
            data, evaluate, options, network, deployment, compare=reward.needs_images
        )
        problem = make_problem(
            compressor,
            parsed,
            options,
            target,
            deployment=deployment,
            folder=folder,
            enforced=reward.enforces_budget,
        )
        ceiling = problem.latency_ceiling(parsed)
        search = Search(
            problem,
            Evaluator(
                compressor, scorer, race=reward.can_race, deployment=deployment, ceiling=ceiling
            ),
            _plan(options, reward, ceiling),
            Study(folder, _told(options, parsed)) if folder else MemoryRecord(),
            on_episode or (lambda episode, best: None),
            *measure_layers(compressor, problem, deployment, options, folder),
        )
        episodes = search.run()
        if not finalists(episodes, 1):
            raise UsageError("the search was ended before its first episode; nothing to deliver")
        judge = Judge(
            compressor, scorer, data, reward=reward, custom=evaluate, deployment=deployment
        )
        baselines = {rule: judge.rule(rule, search.context) for rule in options.baselines}
        verdict = judge.choose(
            problem,
            [problem.counts(e.executed) for e in finalists(episodes, options.finalists)],
            ceiling,
        )
        original = judge.entry(network.module, Policy())
        best = judge.entry(verdict.network, verdict.policy, verdict.latency)
        layers = Layers(judge.layers(Policy()), judge.layers(verdict.policy, verdict.network))
    unsettled = [e for e in episodes if e.outcome.seconds_latency and not e.outcome.latency_settled]
    report = Report(
        budget=str(parsed),
        budget_enforced=reward.enforces_budget,
        budget_met=verdict.met,
        latency_ceiling=ceiling,
        agent=options.agent,
        seed_with=options.seed_with,
        reward=reward.name,
        methods=options.methods,
        state=options.state,
        granularity=options.granularity,
        seed=options.seed,
        target=None if target is None else target.describe(),
        latency_prediction_error=problem.latency.error() if problem.latency else None,
        latencies_unsettled=len(unsettled),
        baselines=baselines,
        original=original,
        best=best,
        layers=layers,
        episodes=len(episodes),
        interrupted=search.stopped and len(episodes) < options.episodes,
        seconds=round(time.perf_counter() - started + search.seconds_before, 3),
        seconds_per_episode=_seconds(episodes),
        policy=verdict.policy,
        kept_whole=tuple(network.kept_whole),
        unknown_operators=tuple(network.unknown_operators),
        versions=_versions(),
    )
    result = Result(
        verdict.policy,
        trainable_copy(verdict.network),
        network,
        report,
        origin or Origin(),
        compressor,
        search.stopped,
    )
    if folder:
        result.save(folder)
    return result


def _versions() -> dict[str, str]:
    """What computed it."""
    return {
        "sartor": sartor.__version__,
        "torch": str(torch.__version__),
        "python": platform.python_version(),
    }


def _reward(
    options: SearchOptions, evaluate: Callable[[nn.Module], float] | None, budget: Budget
) -> Reward:
    """What the options name, else what the agent is made for, else what suits the data."""
    by_data = "fidelity" if evaluate is None else "accuracy"
    by_agent = class_of(as_factory(options.agent)).default_reward
    reward = as_reward(options.reward or by_agent or by_data)
    if reward.needs_latency and not budget.bounds_latency:
        raise UsageError(
            f"reward {reward.name!r} needs a budget on latency, such as latency<=0.3, and a target; "
            f"with the budget {budget} name a reward that enforces it, such as {by_data}"
        )
    return reward


def _plan(options: SearchOptions, reward: Reward, ceiling: float | None) -> SearchPlan:
    return SearchPlan(
        options.agent,
        options.episodes,
        options.seed,
        options.seed_with,
        reward,
        options.max_time,
        ceiling,
    )


def _told(options: SearchOptions, budget: Budget) -> dict[str, Any]:
    """What may not change while a search goes on: all but how long it runs, and what is scored when it has ended."""
    told = {name: value for name, value in asdict(options).items() if name not in _MAY_CHANGE}
    told["compress"].pop("final_images")
    return {**told, "budget": str(budget)}


def _seconds(episodes: Sequence[Episode]) -> EpisodeSeconds:
    """Mean seconds of an episode, where they went, and the median."""
    parts = {
        "total": statistics.fmean(e.seconds for e in episodes),
        "refit": statistics.fmean(e.outcome.seconds_build for e in episodes),
        "evaluate": statistics.fmean(e.outcome.seconds_score for e in episodes),
        "latency": statistics.fmean(e.outcome.seconds_latency for e in episodes),
        "agent": statistics.fmean(e.seconds_agent for e in episodes),
    }
    named = parts["refit"] + parts["evaluate"] + parts["latency"] + parts["agent"]
    parts["rest"] = max(0.0, parts["total"] - named)
    parts["median"] = statistics.median(e.seconds for e in episodes)
    return EpisodeSeconds(**{name: round(value, 4) for name, value in parts.items()})
