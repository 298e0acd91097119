"""Train a network of the zoo on CIFAR-10, for searches on networks that nothing was tuned for.

python bench/train.py plain20 --out runs/plain20.safetensors --epochs 20
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import torch
import tyro
from safetensors.torch import save_file
from torch import fx

from _common import SHARED, data_in
from sartor import models
from sartor.data import load
from sartor.finetune import Epoch, FinetuneOptions, finetune
from sartor.scoring import ImageScorer

#: What is usual for training from the beginning; a network that was trained takes less.
_LEARNING_RATE = 0.1


@dataclass(frozen=True)
class Arguments:
    """A training.

    Attributes:
        model: Name in the zoo.
        out: File of the weights.
        epochs: Passes over the training images.
        precision: Of the training.
        seed: Of everything.
        shared: Where CIFAR-10 is.
    """

    model: tyro.conf.Positional[str]
    out: Path
    epochs: int = 20
    precision: Literal["no", "bf16"] = "no"
    seed: int = 0
    shared: Path = SHARED


def main() -> None:
    """Train, save, and say how accurate the network is."""
    arguments = tyro.cli(Arguments)
    torch.manual_seed(arguments.seed)
    data = load(str(data_in(arguments.shared)), calibration=45_000)
    assert data.test is not None

    options = FinetuneOptions(
        epochs=arguments.epochs,
        learning_rate=_LEARNING_RATE,
        precision=arguments.precision,
        seed=arguments.seed,
    )
    trained = finetune(
        fx.symbolic_trace(models.build(arguments.model)),
        data.calibration,
        data.validation,
        options=options,
        device="cpu",
        checkpoint=arguments.out.with_suffix(".checkpoint"),
        on_epoch=_say,
    )
    save_file(trained.model.state_dict(), arguments.out)
    for name, images in (("validation", data.validation), ("test", data.test)):
        accuracy = ImageScorer(images, dtype=torch.float32).score(trained.model).accuracy
        print(f"{name}: {100 * accuracy:.2f}")


def _say(epoch: Epoch) -> None:
    print(f"{epoch.number}: {100 * epoch.validation:.2f}, {epoch.seconds:.0f} s", flush=True)


if __name__ == "__main__":
    main()
