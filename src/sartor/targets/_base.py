"""What a target is: a runtime on a device that says what it supports, builds candidates for itself and measures them."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar, Protocol, Self

from torch import Tensor, fx

from sartor.compression import INTEGER, Scheme
from sartor.errors import PolicyError, UsageError
from sartor.graph import LayerSpec, Network
from sartor.machine import Float32Array
from sartor.policy import FULL_WIDTH, Policy
from sartor.targets._options import TargetOptions
from sartor.targets._quiet import QuietGauge
from sartor.targets._timing import Comparison, Patience, compare, estimated

Kind = str


@dataclass(frozen=True)
class Support:
    """What a target runs for one kind of layer: pairs of weight and activation bits."""

    precisions: tuple[tuple[int, int], ...] = ((FULL_WIDTH, FULL_WIDTH),)


@dataclass(frozen=True)
class Description:
    """Where candidates run. ``measured`` is False for targets that only estimate."""

    target: str
    device: str
    runtime: str
    threads: int
    supports: Mapping[Kind, Support]
    measured: bool = True


class Session(Protocol):
    """A loaded artifact."""

    @property
    def batch(self) -> int | None:
        """Images that it runs at a time; None for any number."""
        ...

    def run(self, inputs: Sequence[Float32Array]) -> list[Float32Array]:
        """Outputs for a batch of any size."""
        ...

    def seconds(self) -> float:
        """Wall time of one run on fixed inputs of a batch of one."""
        ...


class Target(ABC):
    """A runtime on a device. The conformance tests are `sartor.testing.TargetConformance`."""

    name: ClassVar[str]
    suffix: ClassVar[str]
    #: What it is, in a few words.
    summary: ClassVar[str] = ""
    #: The option of the command line without which it cannot be made, if there is one.
    needs: ClassVar[str] = ""
    #: Whether its sessions give outputs on this machine; if not, accuracy is simulated.
    runs: ClassVar[bool] = True
    #: Whether it can measure the seconds of single layers.
    profiles: ClassVar[bool] = False
    #: Formats of `sartor.export` whose artifacts are verified on it after a search on it.
    formats: ClassVar[tuple[str, ...]] = ()
    #: Whether the table of latencies in its options is where its numbers come from, not a place to
    #: keep what was measured.
    reads_table: ClassVar[bool] = False

    def __init__(self, threads: int = 1) -> None:
        self.threads = threads

    @classmethod
    def from_options(cls, options: TargetOptions) -> Self:
        """The target that options describe; it takes those it knows, the threads at least."""
        return cls(threads=options.threads)

    @property
    def scheme(self) -> Scheme:
        """How the runtime rounds; simulated accuracy follows it."""
        return INTEGER

    @abstractmethod
    def describe(self) -> Description:
        """Device, runtime with version, threads, and what is supported."""

    @abstractmethod
    def build(self, network: fx.GraphModule, inputs: Sequence[Tensor], path: Path) -> Path:
        """Write the artifact of a network, its batch norms folded or quantized, to a new file; return its path.

        ``inputs`` have a batch of one. The file appears whole or not at all. Raises `RunError` for a network that it cannot
        hold.
        """

    @abstractmethod
    def load(self, artifact: Path, *, threads: int | None = None) -> Session:
        """Make an artifact ready to run, on the target's number of threads unless another is given."""

    def profile(self, artifact: Path) -> dict[str, float]:
        """Median seconds of each layer, by name, from the runtime's own profiler. Raises `UsageError` if it has none."""
        raise UsageError(
            f"target {self.name} has no profiler; give a target that has, such as onnxruntime"
        )

    def check(self, network: Network, policy: Policy) -> None:
        """Raise `PolicyError` naming the first layer whose precision the target lacks, and what it has instead."""
        supports = self.describe().supports
        for name in policy.quantized:
            layer = network.layer_by_name.get(name)
            if layer is None:
                raise PolicyError(
                    f"the policy quantizes the layer {name!r}, which the network lacks"
                )
            if policy.bits(name) not in precisions(supports, layer):
                allowed = ", ".join(f"{w}/{a}" for w, a in precisions(supports, layer))
                raise PolicyError(
                    f"target {self.name} cannot run layer {name!r} at {'/'.join(map(str, policy.bits(name)))} bits "
                    f"(weights/activations); allowed for {layer.kind} layers are {allowed}"
                )

    def compare(
        self,
        candidate: Session,
        original: Session,
        patience: Patience | None = None,
        gauge: QuietGauge | None = None,
    ) -> Comparison:
        """Latency of a candidate beside the original's, measured in turns where the target measures; ``gauge`` the original's."""
        if not self.describe().measured:
            return estimated(candidate.seconds(), original.seconds())
        return compare(candidate.seconds, original.seconds, patience or Patience(), gauge=gauge)


def precisions(supports: Mapping[Kind, Support], layer: LayerSpec) -> tuple[tuple[int, int], ...]:
    """Weight and activation bits at which a target runs a layer; fp32 where it says nothing."""
    return supports.get(layer.kind, Support()).precisions
