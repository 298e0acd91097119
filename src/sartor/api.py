"""The public line: from a trained network, data and a budget to a smaller network."""

from __future__ import annotations

import json
import platform
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, fx, nn

import sartor
from sartor import agents
from sartor._files import write_text
from sartor.agents import RuleName, Setting
from sartor.budget import Budget
from sartor.compress import CompressOptions, Compressor, keep_safe_groups, owned
from sartor.data import Data
from sartor.errors import UsageError
from sartor.evaluate import CallableScorer, Evaluator, ImageScorer, Scorer
from sartor.graph import Network, trace
from sartor.policy import Policy
from sartor.problem import Granularity, Problem
from sartor.search import Episode, MemoryRecord, Plan, RewardName, Search, Study, finalists
from sartor.storage import Origin, save

#: The agent of the measured search in docs/results.md (c), and the rules it starts from.
DEFAULT_AGENT = "evolution"
DEFAULT_SEEDS: tuple[RuleName, ...] = ("uniform", "greedy", "knapsack")


@dataclass(frozen=True)
class SearchOptions:
    """How to search."""

    agent: str = DEFAULT_AGENT
    """Who decides: evolution, ddpg, random, tpe, cma-es, or a rule."""
    episodes: int = 300
    """Policies scored in all."""
    seed: int = 0
    """Fixes everything."""
    seed_with: tuple[RuleName, ...] = DEFAULT_SEEDS
    """Rules whose policies come first; the agent learns from them."""
    reward: RewardName = "accuracy"
    """accuracy or fidelity (closeness to the original's outputs) under a budget; those with -macs or -params need none."""
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
        for name in ("episodes", "reward_images", "finalists"):
            if getattr(self, name) < 1:
                raise UsageError(f"{name} is {getattr(self, name)}; it must be at least 1")
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
        save(folder, self.network, self.model, self.policy, kept=kept, origin=self.origin)
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
    out: str | Path | None = None,
    on_episode: Callable[[Episode, Episode], None] | None = None,
    origin: Origin | None = None,
) -> Result:
    """Search how much of each layer to prune so that ``model`` meets ``budget`` and stays as accurate as possible.

    Give ``data``, or ``evaluate`` (accuracy of a network, from 0 to 1) with ``example_inputs`` (a batch of one). With
    ``data.calibration`` the pruned layers are refitted. With ``out``, every episode is on disk at once and an interrupted
    search goes on where it stopped when it is called again. ``model`` is not changed.

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
    compressor = Compressor(network, calibration, options.compress, options.seed)
    parsed = budget if isinstance(budget, Budget) else Budget.parse(budget)
    problem = Problem(
        compressor.cost_model, parsed, granularity=options.granularity, min_keep=options.min_keep, multiple=options.multiple
    )
    evaluator = Evaluator(compressor, scorer, race=options.reward == "accuracy")
    plan = Plan(options.agent, options.episodes, options.seed, options.seed_with, options.reward, options.max_time)
    record = Study(Path(out)) if out else MemoryRecord()
    search = Search(problem, evaluator, plan, record, on_episode or (lambda episode, best: None))
    episodes = search.run()
    if not finalists(episodes, 1):
        raise UsageError("the search was ended before its first episode; nothing to deliver")
    judge = _Judge(compressor, scorer, evaluate, data, faithful=options.reward.startswith("fidelity"))
    policy, final = judge.choose([_policy(problem, e) for e in finalists(episodes, options.finalists)])
    report = {
        "budget": str(parsed),
        "agent": options.agent,
        "seed_with": list(options.seed_with),
        "reward": options.reward,
        "granularity": options.granularity,
        "seed": options.seed,
        "original": judge.entry(network.module, Policy()),
        "baselines": {rule: judge.rule(rule, search.setting) for rule in options.baselines},
        "best": judge.entry(final, policy),
        "episodes": len(episodes),
        "interrupted": search.interrupted,
        "seconds": round(time.perf_counter() - started, 3),
        "seconds_per_episode": _split(episodes),
        "policy": {"channels": dict(policy.channels), "weights": dict(policy.weights)},
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


class _Judge:
    """Scores networks for the report: all validation images in fp32, and the test images once."""

    def __init__(
        self,
        compressor: Compressor,
        scorer: Scorer,
        evaluate: Callable[[nn.Module], float] | None,
        data: Data | None,
        *,
        faithful: bool,
    ) -> None:
        self.compressor = compressor
        self.validation: Scorer = scorer
        self.test: Scorer | None = None
        if data is not None and evaluate is None:
            original = compressor.network.module if faithful else None
            self.validation = ImageScorer(data.validation, dtype=torch.float32, original=original)
            self.test = ImageScorer(data.test, dtype=torch.float32) if data.test is not None else None

    def choose(self, policies: list[Policy]) -> tuple[Policy, fx.GraphModule]:
        """The policy that is most accurate (or most faithful) on all validation images when delivered, and its network."""
        best: tuple[float, Policy, fx.GraphModule] | None = None
        for policy in policies:
            network = self.compressor.candidate(policy, final=True)
            score = self.validation.score(network)
            quality = score.accuracy if score.divergence is None else -score.divergence
            if best is None or quality > best[0]:
                best = (quality, policy, network)
        assert best is not None
        return best[1], owned(best[2])

    def rule(self, rule: RuleName, setting: Setting) -> dict[str, Any]:
        """Entry of a rule's policy, refitted like the finalists."""
        policy = setting.problem.policy(setting.problem.execute(agents.RULES[rule](setting)))
        return self.entry(self.compressor.candidate(policy, final=True), policy)

    def entry(self, network: fx.GraphModule, policy: Policy) -> dict[str, Any]:
        """Accuracies and costs, absolute and as ratios."""
        cost = self.compressor.cost_model.cost(policy)
        return {
            "validation": self.validation.score(network).accuracy,
            "test": self.test.score(network).accuracy if self.test else None,
            **asdict(cost),
            "ratio": cost.ratio(self.compressor.cost_model.original),
        }


def _policy(problem: Problem, episode: Episode) -> Policy:
    return Policy(channels=episode.executed) if problem.granularity == "channels" else Policy(weights=episode.executed)


def _split(episodes: Sequence[Episode]) -> dict[str, float]:
    """Mean seconds of an episode, and where they went."""
    count = len(episodes)
    parts = {
        "total": sum(e.seconds for e in episodes) / count,
        "refit": sum(e.outcome.seconds_build for e in episodes) / count,
        "evaluate": sum(e.outcome.seconds_score for e in episodes) / count,
        "agent": sum(e.seconds_agent for e in episodes) / count,
    }
    parts["rest"] = max(0.0, parts["total"] - parts["refit"] - parts["evaluate"] - parts["agent"])
    return {name: round(value, 4) for name, value in parts.items()}
