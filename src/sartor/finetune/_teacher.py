"""Other networks to learn from than the original."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import zip_longest
from pathlib import Path
from typing import TYPE_CHECKING

from sartor.errors import UsageError

if TYPE_CHECKING:
    from torch import nn

    from sartor.data import Images
    from sartor.tasks import Task


@dataclass(frozen=True)
class Teacher:
    """Trained networks to learn from in place of the original.

    A larger one teaches more, a smaller one is quicker, and several that were trained apart know
    more together than the best of them.

    Attributes:
        models: Zoo names, timm:NAME, torchvision:NAME, or package.module:callable; several teach
            the mean of their outputs. None: the original.
        weights: The files of their trained weights, in the same order.

    >>> Teacher(("resnet56", "resnet20"), (Path("resnet56.safetensors"),))
    Traceback (most recent call last):
    sartor.errors.UsageError: teacher weights are resnet56.safetensors, teachers are resnet56, ...
    """

    models: tuple[str, ...] = ()
    weights: tuple[Path, ...] = ()

    def __post_init__(self) -> None:
        # Networks of the user's own may come with their weights, so that none are named.
        if not self.weights or len(self.weights) == len(self.models):
            return

        files = ", ".join(map(str, self.weights))
        names = ", ".join(self.models) or "none"
        raise UsageError(
            f"teacher weights are {files}, teachers are {names}; name one network for each file"
        )

    def build(self, images: Images, *, classes: int, task: Task) -> nn.Module | None:
        """One network for images as they are normalised in ``images``; None for the original.

        Several are one whose outputs are the mean of theirs, which makes its distribution, however
        softened, the geometric mean of theirs (Hinton et al. 2015).

        Raises `UsageError` for an unknown name, a zoo network without weights, and where one of
        several cannot run on these images or has other outputs than the others; `WeightsError` for
        weights that do not fit.
        """
        from sartor.finetune._ensemble import Ensemble
        from sartor.tasks import output_shapes

        networks = []
        for model, weights in zip_longest(self.models, self.weights):
            network = _build(model, weights, images, classes)
            networks.append(network)

        if not networks:
            return None
        if len(networks) == 1:
            return networks[0]

        # One by one, so that a message can name the teacher that cannot run on these images.
        image = images.batch(slice(0, 1))
        shapes = []
        for network, name in zip(networks, self.models, strict=True):
            shape = output_shapes(network, image, f"the teacher {name}", task)
            shapes.append(shape)
        if len(set(shapes)) > 1:
            written = ", ".join(" and ".join(map(str, shape)) for shape in shapes)
            raise UsageError(
                f"the teachers' outputs have the shapes {written}; they must be the same"
            )
        return Ensemble(networks, task)


def _build(model: str, weights: Path | None, images: Images, classes: int) -> nn.Module:
    from sartor import models
    from sartor.finetune._ensemble import Renormalized

    network = models.build_trained(
        model,
        weights,
        classes=classes,
        pixels=images.shape[-1],
        missing=f"the teacher's weights are missing: {model} would teach with random weights",
    )
    known = models.known_preprocessing(model, weights)
    wanted = (known.mean, known.std)
    given = (images.mean, images.std)
    if wanted == given:
        return network
    return Renormalized.of(network, given=given, wanted=wanted)
