"""How to fine-tune."""

from __future__ import annotations

import dataclasses
import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal, get_args

from sartor.errors import UsageError
from sartor.machine import require_seed
from sartor.tasks import Augmentation

if TYPE_CHECKING:
    from sartor.tasks import Task

#: Statistics of fewer images than this mislead batch norms.
_ENOUGH_FOR_STATISTICS = 32
#: What is made of training images unless something else is asked for.
_USUAL: tuple[Augmentation, ...] = ("shift", "mirror")
Precision = Literal["no", "bf16", "fp16"]
Optimizer = Literal["sgd", "adam"]


@dataclass(frozen=True)
class FinetuneOptions:
    """How to fine-tune: the learning rate is a half cosine after a linear warm-up.

    Raises `UsageError` for a value out of its range.

    Attributes:
        epochs: Passes over the training images.
        batch: Images per step and process.
        steps: Steps of an epoch; if not given, as many as show every image once.
        optimizer: sgd with Nesterov momentum, or adam (AdamW), which asks less of the rate.
        learning_rate: Largest learning rate; if not given, that of adam is found by trying, and
            that of sgd is 0.02, or 0.002 for a network without batch norms, or 0.0002 with frozen
            ones.
        warmup: Share of all steps in which the learning rate rises.
        momentum: Of SGD, or of AdamW's mean gradient.
        weight_decay: On weights of layers; not on biases and batch norms.
        distill: Weight of the divergence from the teacher's outputs in the loss; the rest is the
            loss of the labels, of classes the cross-entropy. With 1 labels are not looked at.
        temperature: Softens the outputs that are compared.
        ema: Decay of the moving average of the weights, which is what is delivered; 0 for none.
        augment: Changes to training images: shifted, mirrored, mixed with another one (for long
            trainings). If not given, shift and mirror, as far as labels of the task can follow.
        freeze_norms: Batch norms keep the statistics that they came with, instead of taking those
            of each batch. If not given, they do in steps of fewer than 32 images.
        precision: Mixed precision of the forward and backward pass.
        compile: Compile the step, and the teacher's forward pass: worth its minutes of compiling
            from some thousand steps on.
        seed: Fixes everything.

    >>> FinetuneOptions(epochs=6, augment=("mirror",)).batch
    128
    >>> FinetuneOptions(epochs=0)
    Traceback (most recent call last):
    sartor.errors.UsageError: epochs is 0; it must be at least 1
    """

    epochs: int = 30
    batch: int = 128
    steps: int | None = None
    optimizer: Optimizer = "sgd"
    learning_rate: float | None = None
    warmup: float = 0.05
    momentum: float = 0.9
    weight_decay: float = 5e-4
    distill: float = 0.5
    temperature: float = 3.0
    ema: float = 0.998
    augment: tuple[Augmentation, ...] | None = None
    freeze_norms: bool | None = None
    precision: Precision = "no"
    compile: bool = False
    seed: int = 0

    def __post_init__(self) -> None:
        _require_at_least_one("epochs", self.epochs)
        _require_at_least_one("batch", self.batch)
        if self.steps is not None:
            _require_at_least_one("steps", self.steps)
        require_seed(self.seed)

        _require_between("distill", self.distill, 0.0, 1.0)
        # Below 1: with 1 the average stays at the candidate and momentum never ends.
        _require_between("ema", self.ema, 0.0, 0.99999)
        _require_between("momentum", self.momentum, 0.0, 0.999)
        _require_between("warmup", self.warmup, 0.0, 1.0)

        if not 0 <= self.weight_decay < math.inf:
            raise UsageError(f"weight_decay is {self.weight_decay}; it must be at least 0")
        if self.learning_rate is not None:
            _require_positive("learning_rate", self.learning_rate)
        _require_positive("temperature", self.temperature)

        augmentations = get_args(Augmentation)
        _require_among("augment", self.augment or (), augmentations)
        _require_among("precision", (self.precision,), get_args(Precision))
        _require_among("optimizer", (self.optimizer,), get_args(Optimizer))

    @property
    def freezes_norms(self) -> bool:
        """Whether batch norms keep their statistics.

        >>> FinetuneOptions(batch=8).freezes_norms, FinetuneOptions().freezes_norms
        (True, False)
        """
        if self.freeze_norms is None:
            return self.batch < _ENOUGH_FOR_STATISTICS
        return self.freeze_norms

    def augmentations(self, task: Task) -> tuple[Augmentation, ...]:
        """What is made of training images of a task.

        Raises `UsageError` for what its labels cannot follow.

        >>> from sartor.tasks import Regression
        >>> FinetuneOptions().augmentations(Regression())
        ()
        """
        allowed = task.augmentations
        if self.augment is None:
            return tuple(name for name in _USUAL if name in allowed)

        refused = [name for name in self.augment if name not in allowed]
        if refused:
            names = ", ".join(refused)
            known = ", ".join(allowed) or "none"
            raise UsageError(
                f"augment has {names}, which labels of the task {task.name} cannot follow; allowed "
                f"are {known}"
            )
        return self.augment


@dataclass(frozen=True)
class FinetuneChanges:
    """Where one fine-tuning is to differ from others; what is not given here stays.

    Attributes:
        epochs: Passes over the training images.
        learning_rate: Largest learning rate.
        augment: Changes to training images.

    >>> FinetuneChanges(epochs=6).apply(FinetuneOptions(batch=64)).epochs
    6
    """

    epochs: int | None = None
    learning_rate: float | None = None
    augment: tuple[Augmentation, ...] | None = None

    def given(self) -> dict[str, Any]:
        """What differs, by the names of `FinetuneOptions`."""
        return {name: value for name, value in vars(self).items() if value is not None}

    def apply(self, options: FinetuneOptions) -> FinetuneOptions:
        """The options, changed. Raises `UsageError` for values that they do not allow."""
        return dataclasses.replace(options, **self.given())


def _require_at_least_one(name: str, value: int) -> None:
    if value < 1:
        raise UsageError(f"{name} is {value}; it must be at least 1")


def _require_positive(name: str, value: float) -> None:
    if not 0 < value < math.inf:
        raise UsageError(f"{name} is {value}; it must be above 0")


def _require_between(name: str, value: float, low: float, high: float) -> None:
    if not low <= value <= high:
        raise UsageError(f"{name} is {value}; it must lie from {low:g} to {high:g}")


def _require_among(name: str, values: tuple[str, ...], allowed: tuple[str, ...]) -> None:
    unknown = sorted(set(values) - set(allowed))
    if unknown:
        found = ", ".join(unknown)
        known = ", ".join(allowed)
        raise UsageError(f"{name} has {found}; allowed are {known}")
