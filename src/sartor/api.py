"""The public line: from a trained network, data and a budget to a smaller network."""

from __future__ import annotations

import json
import platform
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, fx, nn

import sartor
from sartor import agents, sensitivity, targets
from sartor._files import write_text
from sartor.agents import RuleName
from sartor.budget import Budget
from sartor.compress import INTEGER, CompressOptions, Compressor, keep_safe_groups, owned
from sartor.data import Data
from sartor.errors import UsageError
from sartor.evaluate import CallableScorer, Evaluator, ImageScorer, Scorer
from sartor.graph import Network, trace
from sartor.judge import Judge
from sartor.policy import Policy
from sartor.problem import Granularity, Method, Problem
from sartor.search import Episode, MemoryRecord, Plan, RewardName, Search, Study, finalists
from sartor.storage import Origin, save
from sartor.targets import NUMBER, CommandTarget, LatencyMeter, LatencyTable, TableTarget, Target

#: The agent of the measured search in docs/results.md (c), and the rules it starts from.
DEFAULT_AGENT = "evolution"
#: Images on which Ω is measured for agents that see it.
_SENSITIVITY_IMAGES = 256
DEFAULT_SEEDS: tuple[RuleName, ...] = ("uniform", "greedy", "knapsack")


@dataclass(frozen=True)
class SearchOptions:
    """How to search."""

    agent: str = DEFAULT_AGENT
    """Who decides: evolution, ddpg, galen, galen-blind, random, tpe, cma-es, or a rule."""
    episodes: int = 300
    """Policies scored in all."""
    seed: int = 0
    """Fixes everything."""
    seed_with: tuple[RuleName, ...] = DEFAULT_SEEDS
    """Rules whose policies come first; the agent learns from them."""
    reward: RewardName = "accuracy"
    """accuracy or fidelity (closeness to the original's outputs) under a budget; those with -macs or -params need none."""
    methods: tuple[Method, ...] = ("prune",)
    """prune, quantize, or both searched together."""
    target: str = ""
    """Runtime that latency is measured on and whose precisions are used: onnxruntime, openvino, command or table."""
    target_threads: int = 1
    """Threads of the target's runtime."""
    command: str = ""
    """With the target command: the program to run, with {model} where the path of the ONNX file goes."""
    table: Path | None = None
    """With the target table: a JSON file of latencies of layers, such as latency.json in the folder of a run."""
    command_pattern: str = NUMBER
    """Regular expression that finds the latency in what the command prints; its first group, the last match."""
    command_unit: str = "ms"
    """Unit of the number: s, ms, us or ns."""
    granularity: Granularity = "channels"
    """Remove whole channels, or single weights."""
    min_keep: float = 0.2
    """Smallest keep ratio of a group of channels."""
    multiple: int = 1
    """Channel counts are multiples of this."""
    reward_images: int = 2500
    """Validation images that give the reward."""
    finalists: int = 8
    """Best policies that are refitted from more images and scored on all validation images in fp32."""
    baselines: tuple[RuleName, ...] = ("uniform",)
    """Rules that are scored like the finalists, for comparison."""
    max_time: float | None = None
    """Seconds after which no new episode starts."""
    compress: CompressOptions = field(default_factory=CompressOptions)

    def __post_init__(self) -> None:
        for name in ("episodes", "reward_images", "finalists", "target_threads"):
            if getattr(self, name) < 1:
                raise UsageError(f"{name} is {getattr(self, name)}; it must be at least 1")
        if not self.methods or set(self.methods) - {"prune", "quantize"}:
            raise UsageError(f"methods are {', '.join(self.methods) or 'empty'}; allowed are prune, quantize, or both")
        for rule in (*self.seed_with, *self.baselines):
            if rule not in agents.RULES:
                raise UsageError(f"rule {rule!r} is not known; allowed are {', '.join(agents.RULES)}")
        if self.agent not in agents.NAMES:
            raise UsageError(f"agent {self.agent!r} is not known; allowed are {', '.join(agents.NAMES)}")


@dataclass(frozen=True, eq=False)
class Result:
    """What a search found. ``model`` is a plain `nn.Module` in evaluation mode; ``report`` is what result.json holds."""

    policy: Policy
    model: fx.GraphModule
    network: Network
    report: dict[str, Any]
    origin: Origin
    compressor: Compressor

    def save(self, folder: str | Path) -> Path:
        """Write ``model.safetensors``, ``policy.json``, ``network.json`` and ``result.json``; `sartor.load` reads them."""
        folder = Path(folder)
        kept = self.compressor.kept(self.policy)
        save(folder, self.network, self.model, self.policy, kept=kept, origin=self.origin, scheme=self.compressor.scheme)
        write_text(folder / "result.json", json.dumps(self.report, indent=1) + "\n")
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
    on_episode: Callable[[Episode, Episode], None] | None = None,
    origin: Origin | None = None,
) -> Result:
    """Search how much of each layer to prune so that ``model`` meets ``budget`` and stays as accurate as possible.

    Give ``data``, or ``evaluate`` (accuracy of a network, from 0 to 1) with ``example_inputs`` (a batch of one). With
    ``data.calibration`` the pruned layers are refitted. With ``out``, every episode is on disk at once and an interrupted
    search goes on where it stopped when it is called again. ``target`` is an object to use instead of the one that
    ``options`` name. ``model`` is not changed.

    Raises `BudgetError` for a budget that cannot be met, `TraceError` for a network that cannot be traced, `WeightsError`
    for NaN weights, `DataError` for data that does not fit.
    """
    options = options or SearchOptions()
    started = time.perf_counter()
    calibration = data.calibration.normalized() if data else None
    examples = example_inputs if example_inputs is not None else calibration
    if examples is None or (data is None and evaluate is None):
        raise UsageError("compress needs data, or both evaluate and example_inputs")
    network = keep_safe_groups(trace(model, examples))
    scorer = _scorer(data, evaluate, options, network)
    target = target or _target(options)
    if "quantize" in options.methods and target is None:
        raise UsageError("the method quantize needs a target that says which precisions there are; give --target onnxruntime")
    scheme = target.scheme if target else INTEGER
    compressor = Compressor(network, calibration, options.compress, options.seed, scheme=scheme)
    parsed = budget if isinstance(budget, Budget) else Budget.parse(budget)
    with tempfile.TemporaryDirectory() as scratch:
        meter = LatencyMeter(target, network, Path(scratch)) if target else None
        problem = _problem(compressor, parsed, options, target, Path(out) / "latency.json" if out else None)
        evaluator = Evaluator(compressor, scorer, race=options.reward == "accuracy", meter=meter)
        plan = Plan(
            options.agent,
            options.episodes,
            options.seed,
            options.seed_with,
            options.reward,
            options.max_time,
            _ceiling(problem, parsed),
        )
        record = Study(Path(out)) if out else MemoryRecord()
        omega = None
        if options.agent in agents.SEES_SENSITIVITY and calibration is not None:
            path = Path(out) / sensitivity.FILE if out else None
            omega = sensitivity.measure(compressor, calibration[:_SENSITIVITY_IMAGES], scheme=scheme, path=path)
        search = Search(problem, evaluator, plan, record, on_episode or (lambda episode, best: None), omega)
        episodes = search.run()
        if not finalists(episodes, 1):
            raise UsageError("the search was ended before its first episode; nothing to deliver")
        faithful = options.reward.startswith("fidelity")
        judge = Judge(compressor, scorer, data, custom=evaluate, faithful=faithful, meter=meter)
        chosen = [problem.counts(episode.executed) for episode in finalists(episodes, options.finalists)]
        verdict = judge.choose(problem, chosen)
        policy, final = verdict.policy, owned(verdict.network)
        baselines = {rule: judge.rule(rule, search.setting) for rule in options.baselines}
    report = {
        "budget": str(parsed),
        "budget_met": verdict.met,
        "agent": options.agent,
        "seed_with": list(options.seed_with),
        "reward": options.reward,
        "methods": list(options.methods),
        "target": None if target is None else asdict(target.describe()),
        "granularity": options.granularity,
        "seed": options.seed,
        "original": judge.entry(network.module, Policy()),
        "baselines": baselines,
        "best": judge.entry(final, policy, verdict.latency),
        "episodes": len(episodes),
        "interrupted": search.interrupted,
        "seconds": round(time.perf_counter() - started, 3),
        "seconds_per_episode": _split(episodes),
        "policy": json.loads(policy.to_json()),
        "kept_whole": [asdict(item) for item in network.kept_whole],
        "unknown_operators": list(network.unknown_operators),
        "versions": {"sartor": sartor.__version__, "torch": torch.__version__, "python": platform.python_version()},
    }
    result = Result(policy, final, network, report, origin or Origin(), compressor)
    if out:
        result.save(out)
    return result


def _scorer(data: Data | None, evaluate: Callable[[nn.Module], float] | None, options: SearchOptions, network: Network) -> Scorer:
    """What gives the reward."""
    faithful = options.reward.startswith("fidelity")
    if evaluate is not None:
        if faithful:
            raise UsageError(f"reward {options.reward!r} compares outputs on images; with evaluate, use an accuracy reward")
        return CallableScorer(evaluate)
    assert data is not None
    original = network.module if faithful else None
    return ImageScorer(data.validation, limit=options.reward_images, seed=options.seed, original=original)


def _target(options: SearchOptions) -> Target | None:
    """The target that the options name."""
    if options.target == CommandTarget.name:
        return CommandTarget(
            options.command, pattern=options.command_pattern, unit=options.command_unit, threads=options.target_threads
        )
    if options.target == TableTarget.name:
        if options.table is None:
            raise UsageError(
                "the target table needs --table FILE: latencies of layers, such as latency.json in the folder of a run"
            )
        return TableTarget(options.table, threads=options.target_threads)
    return targets.make(options.target, threads=options.target_threads) if options.target else None


def _problem(
    compressor: Compressor, budget: Budget, options: SearchOptions, target: Target | None, table: Path | None
) -> Problem:
    """Decisions that the methods leave open, with the precisions of the target and its predicted latency."""
    cost_model, layers = compressor.cost_model, compressor.network.layers
    supports = target.describe().supports if target else {}
    quantizing = "quantize" in options.methods
    precisions = {layer.name: targets.precisions(supports, layer) for layer in layers} if quantizing else {}
    latency = None
    if target is not None and budget.latency is not None:
        latency = LatencyTable(cost_model, target, precisions, table)

    def problem(bounds: Budget) -> Problem:
        return Problem(
            cost_model, bounds, methods=options.methods, granularity=options.granularity, min_keep=options.min_keep,
            multiple=options.multiple, precisions=precisions, latency=latency,
        )  # fmt: skip

    if latency is not None:
        _measure_corners(problem(Budget(())), compressor, latency, options.seed)
    if options.reward == "absolute":
        budget = Budget(tuple(bound for bound in budget.bounds if bound.quantity != "latency"))
    return problem(budget)


def _measure_corners(problem: Problem, compressor: Compressor, latency: LatencyTable, seed: int) -> None:
    """Correct predicted latencies by a few whole networks: widths and precisions from least to most, and two mixtures."""
    bits = np.array([decision.kind == "bits" for decision in problem.decisions])
    middle = (problem.lowest + problem.sizes) // 2
    widths = (problem.lowest, middle, problem.sizes)
    rows = [np.where(bits, precision, width) for precision in (problem.lowest, problem.sizes) for width in widths]
    rng = np.random.default_rng(seed)
    rows += [np.where(bits & (rng.uniform(size=len(bits)) < 0.5), problem.lowest, row) for row in (middle, problem.sizes)]
    for ratios in {row.tobytes(): row / problem.sizes for row in rows}.values():
        counts = problem.execute(ratios)
        policy = problem.policy(counts)
        latency.measure_whole(
            *problem.split(counts),
            policy.to_json(),
            lambda policy=policy: compressor.candidate(policy),  # type: ignore[misc]
        )


def _ceiling(problem: Problem, budget: Budget) -> float | None:
    """The bound on latency as a share of the original's, whether the problem enforces it or only the reward knows of it."""
    if budget.latency is None:
        return None
    return budget.latency.limit(problem.of_original("latency")) / problem.of_original("latency")


def _split(episodes: Sequence[Episode]) -> dict[str, float]:
    """Mean seconds of an episode, and where they went."""
    count = len(episodes)
    parts = {
        "total": sum(e.seconds for e in episodes) / count,
        "refit": sum(e.outcome.seconds_build for e in episodes) / count,
        "evaluate": sum(e.outcome.seconds_score for e in episodes) / count,
        "latency": sum(e.outcome.seconds_latency for e in episodes) / count,
        "agent": sum(e.seconds_agent for e in episodes) / count,
    }
    parts["rest"] = max(0.0, 2 * parts["total"] - sum(parts.values()))
    return {name: round(value, 4) for name, value in parts.items()}
