"""How to fine-tune."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from typing import Any, Literal, get_args

from sartor.errors import UsageError
from sartor.machine import require_seed

#: Changes to training images: shifted by up to an eighth of the side, mirrored, and mixed with another one in a share drawn
#: from 0 to 1, labels alike (Zhang et al. 2018; worth most where a teacher is learned from for long, Beyer et al. 2022).
Augmentation = Literal["shift", "mirror", "mix"]


@dataclass(frozen=True)
class FinetuneOptions:
    """How to fine-tune: SGD with Nesterov momentum, learning rate on a half cosine after a linear warm-up."""

    epochs: int = 30
    """Passes over the training images."""
    batch: int = 128
    """Images per step and process."""
    learning_rate: float | None = None
    """Largest learning rate; if not given, 0.02, or 0.002 for a network without batch norms."""
    warmup: float = 0.05
    """Share of all steps in which the learning rate rises."""
    momentum: float = 0.9
    """Of SGD."""
    weight_decay: float = 5e-4
    """On weights of layers; not on biases and batch norms."""
    distill: float = 0.5
    """Weight of the divergence from the teacher's outputs in the loss; the rest is the labels' cross-entropy."""
    temperature: float = 3.0
    """Softens the outputs that are compared."""
    ema: float = 0.998
    """Decay of the moving average of the weights, which is what is delivered; 0 for none."""
    augment: tuple[Augmentation, ...] = ("shift", "mirror")
    """Changes to training images: shifted, mirrored, mixed with another one (for long trainings)."""
    precision: Literal["no", "bf16", "fp16"] = "no"
    """Mixed precision of the forward and backward pass."""
    compile: bool = False
    """Compile the step, and the teacher's forward pass: worth its minutes of compiling from some thousand steps on."""
    seed: int = 0
    """Fixes everything."""

    def __post_init__(self) -> None:
        for name in ("epochs", "batch"):
            if getattr(self, name) < 1:
                raise UsageError(f"{name} is {getattr(self, name)}; it must be at least 1")
        require_seed(self.seed)
        for name, low, high in (
            ("distill", 0.0, 1.0),
            ("ema", 0.0, 0.99999),
            ("momentum", 0.0, 0.999),
            ("warmup", 0.0, 1.0),
        ):
            if not low <= getattr(self, name) <= high:
                raise UsageError(
                    f"{name} is {getattr(self, name)}; it must lie from {low:g} to {high:g}"
                )
        if not 0 <= self.weight_decay < float("inf"):
            raise UsageError(f"weight_decay is {self.weight_decay}; it must be at least 0")
        for name in ("learning_rate", "temperature"):
            if getattr(self, name) is not None and not 0 < getattr(self, name) < float("inf"):
                raise UsageError(f"{name} is {getattr(self, name)}; it must be above 0")
        if unknown := set(self.augment) - set(get_args(Augmentation)):
            raise UsageError(
                f"augment has {', '.join(sorted(unknown))}; allowed are {', '.join(get_args(Augmentation))}"
            )


@dataclass(frozen=True)
class FinetuneChanges:
    """Where one fine-tuning is to differ from others; what is not given here stays."""

    epochs: int | None = None
    """Passes over the training images."""
    learning_rate: float | None = None
    """Largest learning rate."""
    augment: tuple[Augmentation, ...] | None = None
    """Changes to training images."""

    def given(self) -> dict[str, Any]:
        """What differs, by the names of `FinetuneOptions`."""
        return {name: value for name, value in vars(self).items() if value is not None}

    def apply(self, options: FinetuneOptions) -> FinetuneOptions:
        """The options, changed. Raises `UsageError` for values that they do not allow."""
        return dataclasses.replace(options, **self.given())
