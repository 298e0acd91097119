"""What a target is: a runtime on a device that says what it supports and measures candidates."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar, Protocol, Self

from torch import Tensor, fx

from sartor.budget import Budget
from sartor.compression import INTEGER, Scheme
from sartor.cost import CostModel, HardwareCosts
from sartor.errors import PolicyError, UsageError
from sartor.graph import LayerSpec, Network
from sartor.machine import Float32Array
from sartor.policy import FULL_WIDTH, Policy
from sartor.targets._comparison import Comparison, estimated
from sartor.targets._design import Design
from sartor.targets._options import PRECISION, TargetOptions
from sartor.targets._quiet import QuietGauge
from sartor.targets._timing import Patience, compare

_KINDS = ("conv", "depthwise", "linear")
#: Channels that kernels work on at a time, on about every processor.
_BLOCK = 8


@dataclass(frozen=True)
class Support:
    """What a target runs for one kind of layer.

    Attributes:
        precisions: Pairs of weight and activation bits.

    >>> Support.for_all_layers([(32, 32), (8, 8)])["depthwise"].precisions
    ((32, 32), (8, 8))
    """

    precisions: tuple[tuple[int, int], ...] = ((FULL_WIDTH, FULL_WIDTH),)

    @classmethod
    def for_all_layers(cls, precisions: Sequence[tuple[int, int]]) -> dict[str, Self]:
        """The same for every kind of layer, by kind."""
        return dict.fromkeys(_KINDS, cls(tuple(precisions)))


@dataclass(frozen=True)
class Description:
    """Where candidates run.

    Attributes:
        target: Name of the target.
        device: The processor.
        runtime: With its version.
        threads: Of the runtime.
        supports: What runs there, by kind of layer: conv, depthwise, linear.
        measured: False for targets that only estimate.
        batch: Images that are timed at once.
        channel_multiple: Channels that its kernels work on at a time: counts between multiples
            of it save little, and may cost more than the next multiple.
        dtypes: Formats of numbers that it can compute with where nothing is quantized; none where
            everything has to be.
        emulated: Whether the processor is only imitated: outputs are right, latencies mean nothing.
    """

    target: str
    device: str
    runtime: str
    threads: int
    supports: Mapping[str, Support]
    measured: bool = True
    batch: int = 1
    channel_multiple: int = _BLOCK
    dtypes: tuple[str, ...] = (PRECISION,)
    emulated: bool = False


class Session(Protocol):
    """A loaded artifact."""

    @property
    def batch(self) -> int | None:
        """Images that it runs at a time; None for any number."""
        ...

    def run(self, inputs: Sequence[Float32Array]) -> list[Float32Array]:
        """Outputs for a batch of any size. Raises `RunError` with what the runtime said."""
        ...

    def seconds(self) -> float:
        """Of one run on fixed inputs, by the clock of the device that computes.

        They are as many images as the artifact takes at a time; if that is any number, as many as
        the target's ``batch``.
        """
        ...


class Target(ABC):
    """A runtime on a device; a new one derives from this and is used by its name.

    Its conformance tests are `sartor.testing.TargetConformance`. A class of a package of your own
    is named ``package.module:Class``; ``sartor.targets.TARGETS.register`` gives it a short name.

    Attributes:
        name: What messages call it.
        suffix: How its artifacts end, with the dot.
        summary: What it is, in a few words.
        needs: The option of the command line, or what has to follow its name, without which it
            cannot be made, if there is such a thing.
        takes: Which it knows of the options batch, device, precision and place; others are refused.
        runs: Whether its sessions give outputs on this machine; if not, accuracy is simulated.
        profiles: Whether it can measure the seconds of single layers.
        formats: Names of the formats of `sartor.export` whose artifacts are verified on it after a
            search on it.
        is_here: Whether its runtime is on this machine.
        reads_table: Whether the table of latencies in its options is where its numbers come from,
            not a place to keep what was measured.
        times: Whether its sessions tell seconds; if not, it is only there to check artifacts.
        threads: Of the runtime.
        batch: Images that are timed at once.
    """

    name: ClassVar[str]
    suffix: ClassVar[str]
    summary: ClassVar[str] = ""
    needs: ClassVar[str] = ""
    takes: ClassVar[tuple[str, ...]] = ()
    runs: ClassVar[bool] = True
    profiles: ClassVar[bool] = False
    formats: ClassVar[tuple[str, ...]] = ()
    is_here: ClassVar[bool] = True
    reads_table: ClassVar[bool] = False
    times: ClassVar[bool] = True

    def __init__(self, threads: int = 1, batch: int = 1) -> None:
        self.threads = threads
        self.batch = batch

    @classmethod
    def from_options(cls, options: TargetOptions) -> Self:
        """The target that options describe, made from the threads and from what it ``takes``."""
        given = {name: getattr(options, name) for name in cls.takes}
        return cls(threads=options.threads, **given)

    @property
    def scheme(self) -> Scheme:
        """How the runtime rounds; simulated accuracy follows it."""
        return INTEGER

    @abstractmethod
    def describe(self) -> Description:
        """Device, runtime with version, threads, and what is supported."""

    @abstractmethod
    def build(self, network: fx.GraphModule, inputs: Sequence[Tensor], path: Path) -> Path:
        """Write the artifact of a network to a new file; return its path.

        The batch norms of the network are folded or quantized, ``inputs`` are of the target's
        batch. The file appears whole or not at all. Raises `RunError` for a network that it cannot
        hold.
        """

    @abstractmethod
    def load(self, artifact: Path, *, threads: int | None = None) -> Session:
        """Make an artifact ready to run, on the target's threads unless others are given.

        Raises `RunError` for a file that cannot be loaded.
        """

    def within(self, budget: Budget) -> Self:
        """The target as a budget asks for it; most are the same for all."""
        return self

    def costs(self, cost_model: CostModel) -> HardwareCosts | None:
        """What it knows of a network's policies without building them; most know nothing.

        Raises `UsageError` for a network that it cannot hold.
        """
        return None

    def design(self, network: fx.GraphModule, inputs: Sequence[Tensor]) -> Design | None:
        """What a network would become on a device; of targets that make no designs none."""
        return None

    def profile(self, artifact: Path) -> dict[str, float]:
        """Median seconds of each layer, by name, from the runtime's own profiler.

        Raises `UsageError` if it has none.
        """
        raise UsageError(
            f"target {self.name} has no profiler; give a target that has, such as onnxruntime"
        )

    def precisions(self, layer: LayerSpec) -> tuple[tuple[int, int], ...]:
        """Weight and activation bits that are searched for a layer; fp32 where it says nothing."""
        return precisions(self.describe().supports, layer)

    def allowed(self, layer: LayerSpec) -> tuple[tuple[int, int], ...]:
        """All at which it runs a layer; by default those that are searched."""
        return self.precisions(layer)

    def check(self, network: Network, policy: Policy) -> None:
        """Raise `PolicyError` naming the first layer whose precision the target lacks."""
        for name in policy.quantized:
            layer = network.layer_by_name.get(name)
            if layer is None:
                raise PolicyError(
                    f"the policy quantizes the layer {name!r}, which the network lacks"
                )

            bits = policy.bits(name)
            allowed = self.allowed(layer)
            if bits in allowed:
                continue
            raise PolicyError(
                f"target {self.name} cannot run layer {name!r} at {_slashed(bits)}"
                f" bits (weights/activations); allowed for {layer.kind} layers are "
                f"{', '.join(map(_slashed, allowed))}"
            )

    def compare(
        self,
        candidate: Session,
        original: Session,
        patience: Patience | None = None,
        gauge: QuietGauge | None = None,
    ) -> Comparison:
        """Latency of a candidate beside the original's; ``gauge`` is the original's.

        Measured in turns where the target measures.
        """
        if not self.describe().measured:
            return estimated(candidate.seconds(), original.seconds())

        return compare(
            candidate.seconds,
            original.seconds,
            patience or Patience(),
            gauge=gauge,
        )


def precisions(supports: Mapping[str, Support], layer: LayerSpec) -> tuple[tuple[int, int], ...]:
    """Weight and activation bits at which a target runs a layer; fp32 where it says nothing."""
    return supports.get(layer.kind, Support()).precisions


def _slashed(bits: tuple[int, int]) -> str:
    weights, activations = bits
    return f"{weights}/{activations}"
