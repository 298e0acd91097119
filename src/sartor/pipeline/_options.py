"""How to search: one dataclass for the command line, configuration files and Python."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, get_args

from sartor.agents import AGENTS, RULES
from sartor.compression import CompressOptions
from sartor.errors import UsageError
from sartor.machine import require_device_name, require_seed
from sartor.problem import Granularity, Method
from sartor.registry import Registry
from sartor.scoring.rewards import REWARDS
from sartor.targets import DEVICE, NUMBER, PRECISION, TARGETS, TargetOptions

#: The agent of the measured search in docs/results.md (c), and the rules it starts from.
DEFAULT_AGENT = "evolution"
DEFAULT_SEEDS: tuple[str, ...] = ("uniform", "greedy", "knapsack")

#: Episodes of a search that goes on for as long as it pays.
MOST_EPISODES = 300

#: Options that are numbers of things.
_COUNTS = (
    "episodes",
    "reward_images",
    "finalists",
    "repair_images",
    "repair_pool",
    "target_threads",
    "target_batch",
    "multiple",
)

#: How what is delivered is brought nearer to the original.
RepairMethod = Literal["auto", "fit", "distill"]
#: What can be measured of each layer before a search.
Measurement = Literal["sensitivity", "latency"]


@dataclass(frozen=True)
class SearchOptions:
    """How to search.

    Attributes:
        agent: Who decides: evolution, planner, ddpg, galen, random, tpe, cma-es, or a rule:
            uniform, shallow, deep, greedy, knapsack.
        episodes: Policies scored in all; auto: as many as promise to pay, at most 300.
        worth: With auto, the search ends when as many episodes again as were last made promise to
            bring the best reward up by less than this share of it.
        seed: Fixes everything.
        seed_with: Rules whose policies come first; the agent learns from them.
        probe: Whether agents and rules that decide by the errors of layers are told what each
            decision really costs alone, two of its choices tried with all that refitting mends, on
            calibration images; if not, by estimates at the layer's own output.
        learn_from: Files experience.json of searches that have ended, of this network or of others;
            the agent planner learns from their episodes before its first.
        reward: accuracy, or fidelity: closeness to the original's outputs, the default where
            there are images to compare on. Those with -macs or -params need no budget; absolute
            treats a budget on latency as a wish.
        methods: prune, quantize, or both searched together.
        base: Folder of an earlier run: what it decided and this search does not stays as it is;
            no more is kept than it kept.
        state: What the agent galen sees of each layer beside its shape: sensitivity, latency (by
            the target's profiler).
        sensitivity: A sensitivity.json that sartor sensitivity wrote; if not given, what the
            agent needs is measured first.
        target: Runtime that latency is measured on and whose precisions are used: onnxruntime,
            openvino, openvino-bf16, onnxruntime-bitserial, executorch, torch, inductor, command or
            table; a board, as ssh:HOST,runtime=onnxruntime (also python=PATH, cores=0-3,
            limit=SECONDS), which sartor targets --on ssh:HOST looks at; fpga:pynq-z2, or
            fpga:FILE.toml, estimates designs for an FPGA.
        target_threads: Threads of the target's runtime.
        target_batch: Images that are timed at once; --batch is short for it.
        target_device: Where the targets torch and inductor compute: cpu, cuda, cuda:1, mps, or
            auto: a GPU where there is one.
        target_precision: What they compute with: fp32, bf16 or fp16.
        rough: Measure latency roughly, without waiting for a quiet machine.
        command: With the target command: the program to run, with {model} where the path of the
            ONNX file goes.
        table: A JSON file of latencies of layers. The target table reads it; any other keeps
            there what it measures of layers, so that searches share it, instead of in
            latency.json in the folder of the run.
        command_pattern: Regular expression that finds the latency in what the command prints;
            its first group, the last match.
        command_unit: Unit of the number: s, ms, us or ns.
        granularity: Remove whole channels, or single weights.
        min_keep: Smallest keep ratio of a group of channels.
        multiple: Channel counts are multiples of this. If not given, of what the target's kernels
            work on at a time, 8 without a target, or of a part of it in small groups, so that
            every group keeps eight choices; 1 leaves all counts open.
        reward_images: Validation images that give the reward. If not given, 5,000, and for networks
            of more than 125 million MACs fewer, down to 1,000: few images are soon known by heart.
        finalists: Best policies that are refitted from more images and scored on all validation
            images: in fp32 or, where they have bits, in the target's runtime.
        repair: How what is delivered is brought nearer to the original once it is chosen: fit is
            least squares alone; distill goes on with a short training on what the original answers
            to calibration images, without labels; auto does so within a share of the search's
            work, and not at all where that is too little for anything to be learned.
        repair_images: Images that a repair is shown in all, each as often as it takes. If not
            given: of distill 65,536, fewer for networks of more than 150 million MACs; of auto no
            more than that, and than the share.
        repair_share: Forward passes that repairing takes at most with auto, as a share of those of
            the search.
        repair_pool: Calibration images that a repair draws from.
        baselines: Rules that are scored like the finalists, for comparison.
        max_time: Seconds after which no new episode starts.
        expect: Accuracy that the original must have, from 0 to 1: the search is refused if what
            it reaches on the validation images excludes it.
        anyway: Search although images or classes are certainly not those of the original's
            training.
        timed: Whether what is delivered is timed beside the original where there is no target, in
            a runtime that is installed; it takes a few seconds.
        device: Where candidates are computed: auto, cpu, cuda, cuda:1 and so on, or mps; auto is a
            CUDA GPU where there is one, else the CPU. Latencies are measured on the target. A
            search that goes on may go on elsewhere: results differ by rounding only.
        compress: How a policy is carried out.

    >>> SearchOptions(agent="galen", episodes=100).methods
    ('prune',)
    >>> SearchOptions(methods="prune")
    Traceback (most recent call last):
    sartor.errors.UsageError: methods is 'prune'; it must be a list of names, such as ('prune',)
    """

    agent: str = DEFAULT_AGENT
    episodes: int | Literal["auto"] = "auto"
    worth: float = 0.02
    seed: int = 0
    seed_with: tuple[str, ...] = DEFAULT_SEEDS
    probe: bool = True
    learn_from: tuple[Path, ...] = ()
    reward: str | None = None
    methods: tuple[Method, ...] = ("prune",)
    base: Path | None = None
    state: tuple[Measurement, ...] = ("sensitivity",)
    sensitivity: Path | None = None
    target: str = ""
    target_threads: int = 1
    target_batch: int = 1
    target_device: str = DEVICE
    target_precision: str = PRECISION
    rough: bool = False
    command: str = ""
    table: Path | None = None
    command_pattern: str = NUMBER
    command_unit: str = "ms"
    granularity: Granularity = "channels"
    min_keep: float = 0.2
    multiple: int | None = None
    reward_images: int | None = None
    finalists: int = 8
    repair: RepairMethod = "auto"
    repair_images: int | None = None
    repair_share: float = 0.5
    repair_pool: int = 8192
    baselines: tuple[str, ...] = ("uniform",)
    max_time: float | None = None
    expect: float | None = None
    anyway: bool = False
    timed: bool = True
    device: str = "auto"
    compress: CompressOptions = field(default_factory=CompressOptions)

    def __post_init__(self) -> None:
        for name in ("base", "sensitivity", "table"):
            value = getattr(self, name)
            if value is not None:
                # The class is frozen for its users; here it is still being made.
                path = Path(value)
                object.__setattr__(self, name, path)

        files = tuple(Path(path) for path in self.learn_from)
        object.__setattr__(self, "learn_from", files)
        for name in ("methods", "state", "seed_with", "baselines"):
            value = getattr(self, name)
            names = _names(name, value)
            object.__setattr__(self, name, names)

        self._require_counts()
        self._require_names()

    @property
    def most_episodes(self) -> int:
        """Policies scored at most."""
        if self.episodes != "auto":
            return self.episodes
        # A rule has one policy, and learns nothing from others.
        return len(self.seed_with) + 1 if self.agent in RULES else MOST_EPISODES

    @property
    def calibration_images(self) -> int:
        """Calibration images that are ever looked at."""
        most = self.compress.most_images
        return most if self.repair == "fit" else max(most, self.repair_pool)

    @property
    def target_options(self) -> TargetOptions:
        """What the target is made with."""
        return TargetOptions(
            threads=self.target_threads,
            batch=self.target_batch,
            device=self.target_device,
            precision=self.target_precision,
            command=self.command,
            command_pattern=self.command_pattern,
            command_unit=self.command_unit,
            table=self.table,
        )

    def _require_counts(self) -> None:
        for name in _COUNTS:
            value = getattr(self, name)
            if value not in (None, "auto") and value < 1:
                raise UsageError(f"{name} is {value}; it must be at least 1")
        if not 0 <= self.worth < math.inf:
            raise UsageError(f"worth is {self.worth}; it must be at least 0, such as 0.02")

        # Turned round, because NaN is neither below 0 nor at least 0.
        if self.max_time is not None and not self.max_time >= 0:
            raise UsageError(f"max_time is {self.max_time}; it must be seconds, at least 0")
        if not 0 <= self.repair_share < math.inf:
            raise UsageError(
                f"repair_share is {self.repair_share}; it must be at least 0, such as 0.5"
            )
        if self.expect is not None and not 0 < self.expect <= 1:
            raise UsageError(
                f"expect is {self.expect}; it must be a share above 0 and up to 1, such as 0.93, "
                "or --expect 93% on the command line"
            )
        require_seed(self.seed)
        require_device_name(self.device)

    def _require_names(self) -> None:
        # Types say as much, but nothing checks them in a file or in a notebook.
        _require_allowed("methods", self.methods, get_args(Method))
        _require_allowed("state", self.state, get_args(Measurement))
        _require_allowed("repair", (self.repair,), get_args(RepairMethod))
        _require_allowed("granularity", (self.granularity,), get_args(Granularity))
        if not self.methods:
            raise UsageError("methods are empty; allowed are prune, quantize, or both")
        for rule in (*self.seed_with, *self.baselines):
            _require_name("rule", rule, RULES)

        _require_name("agent", self.agent, AGENTS)
        if self.reward is not None:
            _require_name("reward", self.reward, REWARDS)
        if self.target:
            _require_name("target", self.target, TARGETS)


def _names(option: str, value: object) -> tuple[str, ...]:
    """A list of names as a tuple. Raises `UsageError` for a plain string and for other things."""
    if isinstance(value, (list, tuple)):
        names = [name for name in value if isinstance(name, str)]
        if len(names) == len(value):
            return tuple(names)

    # A plain string is a sequence of names too, of its letters: the likely meaning is shown.
    example = ("prune",)
    if isinstance(value, str):
        example = (value,)
    raise UsageError(f"{option} is {value!r}; it must be a list of names, such as {example}")


def _require_allowed(option: str, values: tuple[str, ...], allowed: tuple[str, ...]) -> None:
    names = ", ".join(allowed)
    for value in values:
        if value not in allowed:
            raise UsageError(f"{option} has {value!r}; allowed are {names}")


def _require_name(option: str, value: object, registry: Registry[Any]) -> None:
    """Raise `UsageError` for what is no name, or one that nobody has."""
    if not isinstance(value, str):
        raise UsageError(
            f"{option} is {value!r}; in options it must be a name. Objects are given to "
            "sartor.compress itself"
        )
    registry.require(value)
