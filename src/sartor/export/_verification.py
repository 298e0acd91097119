"""What was measured of an artifact, and what of it is not as promised."""

from __future__ import annotations

import dataclasses
import json
from dataclasses import dataclass, field
from typing import Self

from sartor.errors import RunError
from sartor.export._drift import Drift
from sartor.machine import structure
from sartor.targets import Comparison

#: By how much the metric of an artifact may differ from that of the network it was made from.
TOLERANCE = 0.002
#: Images that may be answered differently in any case: rounding can tip a tie.
_FEW = 2


@dataclass(frozen=True)
class Verification:
    """What was measured of an artifact.

    Attributes:
        artifact: Path of its file.
        network: Which network it was made from (`sartor.compression.tensor_identity`).
        runtime: What ran it, with version.
        device: The processor.
        threads: Of the runtime.
        images: Test images that it answered.
        accuracy: The metric of its answers, 1 at best; of classes the share that is right.
        simulated: The same of the network in PyTorch.
        size_bytes: Of all its files.
        original_size_bytes: What the original takes in the same format.
        peak_memory_bytes: What loading and running it takes; None where that is not known.
        batch: Images that it takes at once; ``latency`` is of as many.
        latency: Beside the original's; None where the runtime only executes, and times nothing.
        drift: Of its layers in forward order, where the format names them.
        metric: What the metric is called.
        unequal: Test images whose outputs are not those of the simulation to the last bit; None
            where that was not to be expected.
        emulated: Whether the processor was only imitated; then ``latency`` means nothing.
    """

    artifact: str
    network: str
    runtime: str
    device: str
    threads: int
    images: int
    accuracy: float
    simulated: float
    size_bytes: int
    original_size_bytes: int
    peak_memory_bytes: int | None
    batch: int
    latency: Comparison | None
    drift: list[Drift] = field(default_factory=list)
    metric: str = "top-1"
    unequal: int | None = None
    emulated: bool = False

    @property
    def relative_size(self) -> float:
        """Bytes relative to the original's."""
        return self.size_bytes / self.original_size_bytes

    def to_json(self) -> str:
        """Text that `from_json` reads."""
        return json.dumps(dataclasses.asdict(self), indent=1)

    @classmethod
    def from_json(cls, text: str, place: str = "verification") -> Self:
        """What `to_json` wrote. Raises `RunError`, naming ``place``, for anything else."""
        return structure(cls, json.loads(text), place, RunError)

    def faults(self, *, latency: float | None = None, size: float | None = None) -> list[str]:
        """One sentence for everything that is not as promised.

        ``latency`` and ``size`` are bounds relative to the original's; slower than the original is
        a fault without any.
        """
        found = [*self._accuracy_faults(), *self._drift_faults(), *self._latency_faults(latency)]
        if self.unequal:
            found.append(
                f"{self.unequal} of {self.images:,} test images have other outputs in "
                f"{self.runtime} than in PyTorch; all should be equal to the last bit"
            )

        if size is not None and self.relative_size > size:
            found.append(
                f"the file has {self.size_bytes:,} bytes, {self.relative_size:.3f} of the "
                f"original's, above {size:.3f}; what the search counts are tensors, zeros of "
                "pruned weights left out"
            )
        return found

    def _accuracy_faults(self) -> list[str]:
        tolerance = max(TOLERANCE, _FEW / self.images)
        difference = abs(self.accuracy - self.simulated)
        # exactly as many images as are allowed must not fail by rounding
        if difference <= tolerance + 1e-9:
            return []

        here = f"{100 * self.accuracy:.2f} %"
        simulated = f"{100 * self.simulated:.2f} %"
        return [
            f"{self.metric} is {here} in {self.runtime}, {simulated} in PyTorch: "
            f"more than {100 * tolerance:.1f} points apart"
        ]

    def _latency_faults(self, bound: float | None) -> list[str]:
        """Slower than the original, or above a bound relative to it."""
        if self.latency is None or self.emulated:
            return []
        found = []
        if self.latency.slower:
            found.append(
                f"it is slower than the original: relative latency is "
                f"{self.latency.relative:.3f} (from {self.latency.low:.3f})"
            )

        # the lower end: only what is above a bound for sure is a fault
        if bound is not None and self.latency.low > bound:
            found.append(
                f"relative latency is {self.latency.relative:.3f} (from {self.latency.low:.3f}), "
                f"above {bound:.3f}"
            )
        return found

    def _drift_faults(self) -> list[str]:
        """The first layer that is off; those after it follow from it."""
        before = 0.0
        for index, item in enumerate(self.drift):
            if item.drifted:
                return [
                    f"layer {item.layer!r} is where the output begins to drift: relative error "
                    f"{item.error:.3f}, at most {before:.3f} in the {index} layers before it"
                ]
            before = max(before, item.error)

        return []
