"""What a search reports: the typed content of ``result.json``."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from sartor.cost import Band
from sartor.errors import RunError
from sartor.graph import KeptWhole
from sartor.machine import structure
from sartor.pipeline._goal import Reached
from sartor.policy import Policy
from sartor.scoring import Interval
from sartor.targets import Comparison, Description, Design, is_slower

#: Of ``result.json``.
SCHEMA = 1


@dataclass(frozen=True)
class Ratio:
    """Costs of a network as fractions of the original's.

    Attributes:
        macs: Of multiply-accumulates.
        params: Of parameters that are not zero.
        size: Of bytes.
        bops: Of bit operations.
    """

    macs: float
    params: float
    size: float
    bops: float


@dataclass(frozen=True)
class Entry:
    """One network: how accurate it is, what it costs.

    Attributes:
        validation: The metric of the task on all validation images, 1 at best, or what
            ``evaluate`` returned.
        test: The same on the test images; None where there are none.
        macs: Multiply-accumulates of one image.
        params: Parameters that are not zero.
        size: Bytes of the weights at their stored width.
        bops: Bit operations: MACs × weight bits × activation bits.
        latency: Measured on the target, beside the original's; None where nothing was measured.
            Where the target only estimates, that says so.
        ratio: The costs as fractions of the original's.
        validation_interval: Where the validation accuracy truly lies, at 95 %; None where it was
            not counted on images.
        test_interval: The same of the test accuracy.
        change: Of the accuracy on the test images, else on the validation images, from the
            original's; None of the original itself, and where nothing was counted.
        estimates: What a device would give and be taken by it, by quantity, where the target
            estimates that.
    """

    validation: float
    test: float | None
    macs: int
    params: int
    size: int
    bops: int
    latency: Comparison | None
    ratio: Ratio
    validation_interval: Interval | None = None
    test_interval: Interval | None = None
    change: Interval | None = None
    estimates: Mapping[str, Band] = field(default_factory=dict)


@dataclass(frozen=True)
class Timed:
    """What was delivered, timed beside the original where it may run.

    Attributes:
        target: Name of the runtime.
        runtime: With its version.
        batch: Images at once.
        relative: Its latency as a fraction of the original's.
        low: What was measured allows at least.
        high: What it allows at most.
    """

    target: str
    runtime: str
    batch: int
    relative: float
    low: float
    high: float

    @classmethod
    def of(cls, found: Comparison, described: Description) -> Timed:
        """A comparison on a target."""
        return cls(
            target=described.target,
            runtime=described.runtime,
            batch=described.batch,
            relative=found.relative,
            low=found.low,
            high=found.high,
        )

    @property
    def slower(self) -> bool:
        """Whether it is slower than the original for certain."""
        return is_slower(self.low)


@dataclass(frozen=True)
class LayerEntry:
    """One layer of a network.

    Attributes:
        name: Its path in the network.
        kind: conv, depthwise or linear.
        in_channels: Channels that it reads.
        out_channels: Channels that it writes.
        macs: Its multiply-accumulates of one image.
        density: Share of single weights kept, in (0, 1].
        weight_bits: Bits of its weights, 32 if not quantized.
        activation_bits: Bits of its input.
        seconds: By the profiler of the target; None where it has none.
    """

    name: str
    kind: str
    in_channels: int
    out_channels: int
    macs: int
    density: float
    weight_bits: int
    activation_bits: int
    seconds: float | None


@dataclass(frozen=True)
class Layers:
    """All layers, in forward order.

    Attributes:
        original: Of the original network.
        best: Of what was found.
    """

    original: tuple[LayerEntry, ...]
    best: tuple[LayerEntry, ...]


@dataclass(frozen=True)
class EpisodeSeconds:
    """Seconds of an episode: the mean, where they went, and the median.

    Attributes:
        total: Of a whole episode.
        refit: To build and refit the candidate.
        evaluate: To score it.
        latency: To measure it.
        agent: In which the agent decided and learned.
        rest: What is left of the total.
        median: Of a whole episode, the median.
    """

    total: float
    refit: float
    evaluate: float
    latency: float
    agent: float
    rest: float
    median: float


@dataclass(frozen=True)
class Repair:
    """How what was found was repaired.

    Attributes:
        refitted: What was found, before it was repaired.
        shown: Images that it was shown at most.
        rounds: Rounds that were carried out, of which the best was taken.
        learning_rate: The largest.
        before: Distance from the original's answers to calibration images that were held out, of
            classes the divergence of softened answers.
        after: The same after the repair.
        seconds: What it took.
        share: Of the whole search's time.
    """

    refitted: Entry
    shown: int
    rounds: int
    learning_rate: float
    before: float
    after: float
    seconds: float
    share: float


@dataclass(frozen=True, kw_only=True)
class Report:
    """What ``result.json`` holds, under the same names.

    Indexed by a name it gives the plain values that stand in the file:
    ``report.best.ratio.macs`` is ``report["best"]["ratio"]["macs"]``.

    Attributes:
        budget: The bounds, as `Budget.parse` reads them; empty for none.
        task: What the network is for.
        metric: What measures how good it is: top-1, mIoU, …; score if that was ``evaluate``.
        budget_enforced: Whether the budget bound the search; else the reward only weighed it.
        budget_met: Whether the latency of what was found is under its bound for certain.
        goal: What came of a goal such as accuracy>=-1%; None without one.
        latency_ceiling: The bound on latency, as a fraction of the original's.
        agent: Who decided.
        seed_with: Rules whose policies came first.
        reward: What was maximised.
        methods: prune, quantize or both.
        state: Measurements of layers that the agent could see.
        granularity: channels or weights.
        multiple: What numbers of channels are multiples of, in words.
        seed: What fixed everything.
        target: Where candidates were measured; None without a target.
        latency_prediction_error: Median relative error of predicted latencies.
        latencies_unsettled: Measurements for which the machine was too busy.
        baselines: What rules gave, by name.
        original: The original network.
        warnings: What looked wrong with it, one sentence each.
        best: What was found.
        repair: How it was repaired; None if it was not.
        layers: The layers of both.
        episodes: How many policies were scored.
        interrupted: Whether the search was ended before all its episodes.
        seconds: What it took, of all processes that went on with it.
        seconds_per_episode: Where they went.
        timed: What was found, timed beside the original; None where that was not asked for, and
            where no runtime that is installed holds it.
        design: What was found as a device would have it, where the target makes designs.
        policy: What was decided.
        kept_whole: Channels that could not be removed, and why.
        not_refitted: Layers whose weights were not fitted anew, with the reason.
        shared: Layers whose weights are those of an earlier one, and count once.
        unknown_operators: Operators that are not known, whose MACs are estimated by running them.
        device: Where candidates were computed.
        versions: Of sartor, torch and Python.
    """

    budget: str
    task: str = "classification"
    metric: str = "top-1"
    goal: Reached | None = None
    budget_enforced: bool = True
    budget_met: bool
    latency_ceiling: float | None
    agent: str
    seed_with: tuple[str, ...]
    reward: str
    methods: tuple[str, ...]
    state: tuple[str, ...]
    granularity: str
    multiple: str = "1"
    seed: int
    target: Description | None
    latency_prediction_error: float | None
    latencies_unsettled: int
    baselines: Mapping[str, Entry]
    original: Entry
    warnings: tuple[str, ...] = ()
    best: Entry
    repair: Repair | None = None
    layers: Layers
    episodes: int
    interrupted: bool
    seconds: float
    seconds_per_episode: EpisodeSeconds
    timed: Timed | None = None
    design: Design | None = None
    policy: Policy
    kept_whole: tuple[KeptWhole, ...]
    not_refitted: Mapping[str, str] = field(default_factory=dict)
    shared: Mapping[str, str] = field(default_factory=dict)
    unknown_operators: tuple[str, ...]
    device: str = "cpu"
    versions: Mapping[str, str]

    def __getitem__(self, name: str) -> Any:
        """The plain values that ``result.json`` holds under a name. Raises `KeyError`."""
        return self.to_dict()[name]

    @property
    def networks(self) -> dict[str, Entry]:
        """All networks by name: the original, what rules gave, what was found.

        Where that was repaired, it stands there before its repair, too, as "refitted".
        """
        found = {"original": self.original, **self.baselines}
        if self.repair is not None:
            found["refitted"] = self.repair.refitted
        return {**found, "found": self.best}

    def to_dict(self) -> dict[str, Any]:
        """Plain values: mappings, lists, strings, numbers."""
        return json.loads(self.to_json())

    def to_json(self) -> str:
        """The text of ``result.json``."""
        content = {"schema": SCHEMA, **dataclasses.asdict(self)}
        # A policy has a form of its own, in which it stands in policy.json too.
        content["policy"] = json.loads(self.policy.to_json())
        return json.dumps(content, indent=1) + "\n"

    @classmethod
    def from_json(cls, text: str, place: str = "report") -> Report:
        """The report that `to_json` wrote.

        Raises `RunError` naming ``place`` for another schema and for keys that are unknown or
        missing.
        """
        try:
            content: Any = json.loads(text)
        except json.JSONDecodeError as error:
            raise RunError(f"{place} is not JSON: {error}") from error

        schema = None
        if isinstance(content, dict):
            schema = content.pop("schema", None)
        if schema != SCHEMA:
            raise RunError(f"{place} is not a report of schema {SCHEMA}; another version wrote it")
        return structure(cls, content, place, RunError)
