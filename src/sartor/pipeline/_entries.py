"""What a report says of single networks, layers and stages."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from sartor.cost import Band
from sartor.scoring import Interval
from sartor.targets import Comparison, Description, is_slower


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
