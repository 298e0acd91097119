"""The artifact itself, run in its own runtime: whether it keeps what the search promised."""

from __future__ import annotations

import tempfile
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import torch
from torch import fx

from sartor import targets
from sartor.compression import deployable, tensor_identity
from sartor.data import Images
from sartor.errors import RunError, UsageError
from sartor.export._drift import Drift, drift
from sartor.export._formats import FORMATS, FormatName, export
from sartor.export._memory import peak_memory
from sartor.export._metadata import NETWORK
from sartor.scoring import ImageScorer
from sartor.targets import SURE, Comparison, Session

_BATCH = 100
#: Images on which layers are compared.
_DRIFT_IMAGES = 16
#: Accuracy by which an artifact may differ from the network it was made from.
TOLERANCE = 0.002
#: Images that may be answered differently in any case: rounding can tip a tie.
_FEW = 2


@dataclass(frozen=True)
class Verification:
    """What was measured of an artifact: accuracies in [0, 1] on ``images`` images, ``drift`` where the file names layers.

    ``network`` tells which network it was made from (`sartor.compression.identity`), ``original_size_bytes`` what the original takes
    in the same format. ``latency`` is of ``batch`` images at once, as many as the artifact takes.
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
    latency: Comparison
    drift: list[Drift] = field(default_factory=list)

    @property
    def relative_size(self) -> float:
        """Bytes relative to the original's."""
        return self.size_bytes / self.original_size_bytes

    def faults(self, *, latency: float | None = None, size: float | None = None) -> list[str]:
        """One sentence for everything that is not as promised; ``latency`` and ``size`` are bounds relative to the original's."""
        found = []
        tolerance = max(TOLERANCE, _FEW / self.images)
        if abs(self.accuracy - self.simulated) > tolerance + 1e-9:
            found.append(
                f"accuracy is {100 * self.accuracy:.2f} % in {self.runtime}, {100 * self.simulated:.2f} % in PyTorch: more than "
                f"{100 * tolerance:.1f} points apart"
            )
        for index, item in enumerate(self.drift):
            if item.drifted:
                before = max([other.error for other in self.drift[:index]], default=0.0)
                found.append(
                    f"layer {item.layer!r} is where the output begins to drift: relative error {item.error:.3f}, at most "
                    f"{before:.3f} in the {index} layers before it"
                )
                break
        if latency is not None and self.latency.low > latency:
            found.append(
                f"relative latency is {self.latency.relative:.3f} (from {self.latency.low:.3f}), above {latency:.3f}"
            )
        if size is not None and self.relative_size > size:
            found.append(
                f"the file has {self.size_bytes:,} bytes, {self.relative_size:.3f} of the original's, above {size:.3f}; what the "
                "search counts are tensors, zeros of pruned weights left out"
            )
        return found


def verify(
    artifact: Path,
    form: FormatName,
    network: fx.GraphModule,
    original: fx.GraphModule,
    test: Images,
    *,
    threads: int = 1,
    target: str = "",
) -> Verification:
    """Run an artifact on the test images, measure it beside the original, and compare it with the network it was made from.

    It runs on the usual target of its format, or another ``target`` that reads it.

    Raises `RunError` for a file that its runtime cannot load or that says it was made from another network, `UsageError` for a
    format that no target here runs.
    """
    if not FORMATS[form].target:
        raise UsageError(
            f"format {form!r} has no target here that runs it; allowed are onnx, openvino and executorch"
        )
    target = target or FORMATS[form].target
    runner = targets.make(target, threads=threads)
    images = test.normalized()
    session, made_of = runner.load(artifact), tensor_identity(network.state_dict())
    if FORMATS[form].metadata(artifact).get(NETWORK, made_of) != made_of:
        raise RunError(
            f"{artifact} was made from another network than the one it is held against; export it again"
        )
    right = _answers(session, images) == test.labels.numpy()
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / f"original{FORMATS[form].suffix}"
        unchanged = export(original, (images[:1],), path, form, batch=session.batch)
        latency, original_size = (
            runner.compare(session, runner.load(unchanged), SURE),
            size_of(unchanged),
        )
    described = runner.describe()
    return Verification(
        str(artifact),
        made_of,
        described.runtime,
        described.device,
        threads,
        len(test),
        float(right.mean()),
        ImageScorer(test, dtype=torch.float32).score(network).accuracy,
        size_of(artifact),
        original_size,
        peak_memory(target, artifact, threads),
        session.batch or 1,
        latency,
        drift(artifact, deployable(network), _batches(images, session.batch or _DRIFT_IMAGES)[0])
        if form == "onnx"
        else [],
    )


def _answers(session: Session, images: torch.Tensor) -> np.ndarray:
    parts = [session.run([part.numpy()])[0] for part in _batches(images, session.batch or _BATCH)]
    answers: np.ndarray = np.concatenate(parts)[: len(images)].argmax(1)
    return answers


def _batches(images: torch.Tensor, size: int) -> list[torch.Tensor]:
    """Parts of equal size; the last is filled up with the images again."""
    filled = images[torch.arange(-(-len(images) // size) * size) % len(images)]
    return list(filled.split(size))


def size_of(artifact: Path) -> int:
    """Bytes of an artifact and, for OpenVINO, of its weights beside it."""
    beside = artifact.with_suffix(".bin")
    files = [artifact, beside] if artifact.suffix == ".xml" and beside.exists() else [artifact]
    return sum(path.stat().st_size for path in files)
