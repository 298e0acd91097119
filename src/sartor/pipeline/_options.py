"""How to search: one dataclass for the command line, configuration files and Python."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from sartor.agents import AGENTS, RULES
from sartor.compression import CompressOptions
from sartor.errors import UsageError
from sartor.machine import require_seed
from sartor.problem import Granularity, Method
from sartor.rewards import REWARDS
from sartor.targets import NUMBER, TargetOptions

#: The agent of the measured search in docs/results.md (c), and the rules it starts from.
DEFAULT_AGENT = "evolution"
DEFAULT_SEEDS: tuple[str, ...] = ("uniform", "greedy", "knapsack")


#: What can be measured of each layer before a search.
Measurement = Literal["sensitivity", "latency"]


@dataclass(frozen=True)
class SearchOptions:
    """How to search."""

    agent: str = DEFAULT_AGENT
    """Who decides: evolution, ddpg, galen, random, tpe, cma-es, or a rule: uniform, shallow, deep, greedy, knapsack."""
    episodes: int = 300
    """Policies scored in all."""
    seed: int = 0
    """Fixes everything."""
    seed_with: tuple[str, ...] = DEFAULT_SEEDS
    """Rules whose policies come first; the agent learns from them."""
    reward: str | None = None
    """accuracy, or fidelity: closeness to the original's outputs, the default where there are images to compare on. Those with
    -macs or -params need no budget; absolute treats a budget on latency as a wish."""
    methods: tuple[Method, ...] = ("prune",)
    """prune, quantize, or both searched together."""
    base: Path | None = None
    """Folder of an earlier run: what it decided and this search does not stays as it is; no more is kept than it kept."""
    state: tuple[Measurement, ...] = ("sensitivity",)
    """What the agent galen is told of each layer beside its shape: sensitivity, latency (by the target's profiler)."""
    sensitivity: Path | None = None
    """A sensitivity.json that sartor sensitivity wrote; if not given, what the agent needs is measured first."""
    target: str = ""
    """Runtime that latency is measured on and whose precisions are used: onnxruntime, openvino, openvino-bf16, executorch,
    command or table."""
    target_threads: int = 1
    """Threads of the target's runtime."""
    command: str = ""
    """With the target command: the program to run, with {model} where the path of the ONNX file goes."""
    table: Path | None = None
    """A JSON file of latencies of layers. The target table reads it; any other keeps there what it measures of layers, so
    that searches share it, instead of in latency.json in the folder of the run."""
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
    reward_images: int = 1000
    """Validation images that give the reward."""
    finalists: int = 8
    """Best policies that are refitted from more images and scored on all validation images: in fp32 or, where they have bits, in
    the target's runtime."""
    baselines: tuple[str, ...] = ("uniform",)
    """Rules that are scored like the finalists, for comparison."""
    max_time: float | None = None
    """Seconds after which no new episode starts."""
    compress: CompressOptions = field(default_factory=CompressOptions)

    @property
    def target_options(self) -> TargetOptions:
        """What the target is told."""
        return TargetOptions(
            threads=self.target_threads,
            command=self.command,
            command_pattern=self.command_pattern,
            command_unit=self.command_unit,
            table=self.table,
        )

    def __post_init__(self) -> None:
        for name in ("episodes", "reward_images", "finalists", "target_threads"):
            if getattr(self, name) < 1:
                raise UsageError(f"{name} is {getattr(self, name)}; it must be at least 1")
        require_seed(self.seed)
        if not self.methods or set(self.methods) - {"prune", "quantize"}:
            raise UsageError(
                f"methods are {', '.join(self.methods) or 'empty'}; allowed are prune, quantize, or both"
            )
        if unknown := set(self.state) - {"sensitivity", "latency"}:
            raise UsageError(f"state has {', '.join(unknown)}; allowed are sensitivity and latency")
        for rule in (*self.seed_with, *self.baselines):
            RULES.require(rule)
        AGENTS.require(self.agent)
        if self.reward is not None:
            REWARDS.require(self.reward)
