"""Repair: a short training that learns nothing but what the original answers."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor, fx

from sartor.compression import device_of, fastest_dtype, on_device
from sartor.data import Images
from sartor.errors import DataError, UsageError
from sartor.finetune import Course, Epoch, FinetuneOptions, Training, found_rate
from sartor.machine import CPU
from sartor.policy import Policy
from sartor.repair._held_out import HeldOut
from sartor.repair._options import RepairOptions, steps_of
from sartor.tasks import CLASSIFICATION, Task

#: Of the images, one in so many is held out, and how many at most.
_HELD_OUT = 10
_MOST_HELD_OUT = 1024
#: Fewer images than this cannot be learned from and held out.
FEWEST_IMAGES = 20
#: Images that are shown more often than this are few.
_OFTEN = 10


@dataclass(frozen=True, eq=False)
class Repaired:
    """What came of a repair.

    Attributes:
        model: The network, where the candidate was.
        before: How far the candidate is from the original on images that were held out, by the
            distance that is learned: of classes the divergence of softened answers.
        after: The same of the network, never larger.
        learning_rate: The largest.
        rounds: What came of each.
        seconds: What it took in this process.
    """

    model: fx.GraphModule
    before: float
    after: float
    learning_rate: float
    rounds: tuple[Epoch, ...]
    seconds: float


def repair(
    candidate: fx.GraphModule,
    original: fx.GraphModule,
    images: Images,
    options: RepairOptions | None = None,
    *,
    policy: Policy | None = None,
    blocks: Mapping[str, Tensor] | None = None,
    task: Task = CLASSIFICATION,
    checkpoint: Path | None = None,
    on_round: Callable[[Epoch], None] = lambda epoch: None,
) -> Repaired:
    """Bring a candidate's outputs nearer to the original's, on images without labels.

    Its outputs are held against the original's (Hinton et al. 2015) on nine tenths of the
    ``images``, shifted and mirrored; what comes nearest on the rest is returned, the candidate
    itself if nothing does. The learning rate is found by trying; it ends early once it gets worse
    round after round. Single weights that ``policy`` has pruned stay pruned, and what is rounded
    stays rounded. Labels of the images are not looked at.

    Where images are few, so that each is shown more than ten times, they are soon known by heart:
    then values at the ends of ``blocks`` (`sartor.compression.block_outputs`) are learned, too, of
    which an image has thousands.

    With ``checkpoint``, a repair that was interrupted goes on after its last whole round, and one
    that ended is not done again.

    Raises `DataError` for fewer than 20 images, `UsageError` where not even one step's images are
    to be shown, `RunError` for a checkpoint of another repair.

    >>> from sartor import data, demo
    >>> from sartor.compression import mask
    >>> from sartor.graph import trace
    >>> images = data.load("digits", calibration=256).calibration
    >>> network = trace(demo.DigitsNet(), images.normalized()[:1])
    >>> found = repair(network.module, network.module, images, RepairOptions(shown=256, rounds=2))
    >>> found.after <= found.before
    True
    """
    options = options or RepairOptions()
    require_repairable(images, options)
    started = time.perf_counter()
    device = device_of(candidate)
    count = len(images) - min(_MOST_HELD_OUT, len(images) // _HELD_OUT)
    shown = images.slice(0, count)
    judged = images.slice(count)

    teacher = on_device(original, CPU)
    student = on_device(candidate, CPU)
    training = Training.begin(
        student,
        shown,
        teacher,
        _recipe(options, shown, candidate),
        policy=policy,
        task=task,
        device=device,
        blocks=blocks if options.shown > _OFTEN * len(shown) else None,
    )
    held = HeldOut(judged, original, task, options.temperature)
    course = Course.begin(training, student, teacher, lambda network: -held.distance(network))
    before = -course.soup.quality

    if checkpoint is not None and checkpoint.exists():
        course.read(checkpoint)
    elif options.learning_rate is None:
        training.learn_at(found_rate(training))
    course.run(checkpoint, patience=options.patience, on_epoch=on_round)

    mended = course.network()
    return Repaired(
        model=candidate if mended is None else on_device(mended, device),
        before=before,
        after=-course.soup.quality,
        learning_rate=training.rate.largest,
        rounds=tuple(course.epochs),
        seconds=time.perf_counter() - started,
    )


def require_repairable(images: Images, options: RepairOptions) -> None:
    """Raise what `repair` raises for too few images, before there is anything to repair."""
    if len(images) < FEWEST_IMAGES:
        raise DataError(
            f"there are {len(images)} calibration images; repairing needs at least "
            f"{FEWEST_IMAGES}, of which some are held out"
        )
    if not steps_of(options, images):
        raise UsageError(
            f"{options.shown} images are to be shown, fewer than the {options.batch_of(images)} of "
            "one step"
        )


def _recipe(options: RepairOptions, images: Images, candidate: fx.GraphModule) -> FinetuneOptions:
    """The training that a repair is."""
    steps = steps_of(options, images)
    rounds = min(options.rounds, steps)
    few = images.batch(slice(0, 2), device_of(candidate))
    is_fast_in_bf16 = fastest_dtype(candidate, (few,)) == torch.bfloat16
    return FinetuneOptions(
        epochs=rounds,
        steps=steps // rounds,
        batch=options.batch_of(images),
        optimizer="adam",
        learning_rate=options.learning_rate,
        distill=1.0,
        temperature=options.temperature,
        ema=options.ema,
        precision="bf16" if is_fast_in_bf16 else "no",
        seed=options.seed,
    )
