"""The artifact itself, run in its own runtime: whether it keeps what the search promised."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path

import torch
from torch import Tensor, fx

from sartor import targets
from sartor.compression import deployable, sums_exactly, tensor_identity
from sartor.data import Images
from sartor.errors import RunError, UsageError
from sartor.export._drift import drift
from sartor.export._export import NETWORK, export
from sartor.export._format import Format
from sartor.export._memory import peak_memory
from sartor.export._registry import FORMATS, find_format
from sartor.export._verification import Verification
from sartor.scoring import ImageScorer, Tally, pass_size
from sartor.targets import SURE, Comparison, Session, Target, TargetOptions
from sartor.tasks import CLASSIFICATION, Task

_BATCH = 100
#: Images on which layers are compared.
_DRIFT_IMAGES = 16


def verifying_target(form: str | Format, preferred: str = "") -> str:
    """Name of the target on which artifacts of a format are verified.

    That is the ``preferred`` one, such as that of the search, if it reads the format, else the
    format's usual one. Raises `UsageError` if no target here runs it.

    >>> verifying_target("openvino", preferred="openvino-bf16")
    'openvino-bf16'
    >>> verifying_target("onnx", preferred="openvino-bf16")
    'onnxruntime'
    """
    chosen = find_format(form)
    if preferred:
        formats = targets.target_class(preferred).formats
        if chosen.name in formats:
            return preferred

    if not chosen.runtime:
        runnable = ", ".join(name for name in FORMATS if find_format(name).runtime)
        raise UsageError(
            f"format {chosen.name!r} has no target here that runs it; allowed are {runnable}"
        )
    return chosen.runtime


def verify(
    artifact: Path,
    form: str | Format,
    network: fx.GraphModule,
    original: fx.GraphModule,
    test: Images,
    *,
    options: TargetOptions | None = None,
    target: str = "",
    task: Task = CLASSIFICATION,
) -> Verification:
    """Run an artifact on the test images and compare it with the network it was made from.

    It is measured beside the ``original``, on the usual target of its format, or another ``target``
    that reads it, with as many images at once as the artifact takes; if that is any number, as
    many as the ``options`` of the target say.

    Raises `RunError` for a file that its runtime cannot load or run, or that says it was made from
    another network, `UsageError` for a format that no target here runs.
    """
    options = options or TargetOptions()
    chosen = find_format(form).on(options)
    name = target or verifying_target(chosen)
    runner = targets.make(name, options)
    session = runner.load(artifact)
    made_of = tensor_identity(network.state_dict())
    _require_network(artifact, chosen, made_of)

    expected = _exactly(chosen, network)
    accuracy, unequal = _answers(session, test, task, expected)
    example = test.batch(slice(0, 1))
    latency, original_size = _beside_original(chosen, runner, session, original, example)
    described = runner.describe()
    # What all layers write is held at once, of both.
    most = pass_size(test, _DRIFT_IMAGES)
    few, _ = next(_batches(test, session.batch or most))

    return Verification(
        artifact=str(artifact),
        network=made_of,
        runtime=described.runtime,
        device=described.device,
        threads=options.threads,
        images=len(test),
        accuracy=accuracy,
        simulated=ImageScorer(test, task=task, dtype=torch.float32).score(network).accuracy,
        size_bytes=chosen.size_bytes(artifact),
        original_size_bytes=original_size,
        peak_memory_bytes=peak_memory(name, artifact, options) if runner.times else None,
        batch=session.batch or runner.batch,
        latency=latency,
        drift=drift(artifact, chosen, deployable(network), few),
        metric=task.metric,
        unequal=unequal,
        emulated=described.emulated,
    )


def _require_network(artifact: Path, form: Format, made_of: str) -> None:
    """Raise `RunError` for a file that says that it was made from another network."""
    metadata = form.read_metadata(artifact)
    if metadata.get(NETWORK, made_of) != made_of:
        raise RunError(
            f"{artifact} was made from another network than the one it is held against; "
            "export it again"
        )


def _beside_original(
    form: Format, runner: Target, session: Session, original: fx.GraphModule, example: Tensor
) -> tuple[Comparison | None, int]:
    """Latency relative to the original's, exported alike, if it is timed; the bytes of that."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / f"original{form.suffix}"
        export(
            original,
            (example,),
            path,
            form,
            batch=session.batch,
        )

        size = form.size_bytes(path)
        if not runner.times:
            return None, size
        reference = runner.load(path)
        return runner.compare(session, reference, SURE), size


def _exactly(form: Format, network: fx.GraphModule) -> fx.GraphModule | None:
    """The network, if an artifact of it has to give the same outputs to the last bit."""
    return deployable(network) if form.exact and sums_exactly(network) else None


@torch.no_grad()
def _answers(
    session: Session, test: Images, task: Task, expected: fx.GraphModule | None
) -> tuple[float, int | None]:
    """The metric of what an artifact answers, and how many images it answers unlike a network."""
    tally = Tally(task)
    unequal = 0
    for inputs, numbers in _batches(test, session.batch or pass_size(test, _BATCH)):
        arrays = session.run([inputs.numpy()])
        tensors = [torch.from_numpy(array) for array in arrays]
        outputs = task.outputs(tensors)
        count = len(numbers)
        if expected is not None:
            same = _same(outputs, task.outputs(expected(inputs)))
            unequal += int((~same[:count]).sum())

        # The last batch was filled up.
        answered = tuple(item[:count] for item in outputs)
        tally.add(answered, test.labels[numbers])
    return tally.score().accuracy, None if expected is None else unequal


def _same(outputs: Sequence[Tensor], others: Sequence[Tensor]) -> Tensor:
    """Which images (images,) have equal outputs."""
    found = torch.ones(len(outputs[0]), dtype=torch.bool)
    for output, other in zip(outputs, others, strict=True):
        found &= (output == other).flatten(1).all(1)
    return found


def _batches(images: Images, size: int) -> Iterator[tuple[Tensor, Tensor]]:
    """Inputs of equal size, the last filled up with the first images; numbers of those it is for.

    Not all at once: photos of a whole test set need not fit into memory.
    """
    count = len(images)
    for start in range(0, count, size):
        filled = torch.arange(start, start + size) % count
        numbers = torch.arange(start, min(start + size, count))
        yield images.batch(filled), numbers
