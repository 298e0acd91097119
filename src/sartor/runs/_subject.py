"""What a run compresses: a trained network and its data, from objects or from names."""

from __future__ import annotations

import logging
from dataclasses import dataclass, field, replace
from pathlib import Path

from torch import nn

from sartor import data, models
from sartor.compression import Origin
from sartor.data import Data, Preprocessing
from sartor.errors import RunError, UsageError
from sartor.machine import seeded
from sartor.models import InputOptions

_LOG = logging.getLogger(__name__)


@dataclass(frozen=True, eq=False)
class Subject:
    """A trained network and its data.

    Attributes:
        model: The network.
        data: Its images; None where they are not known.
        origin: How the network can be built by name.
    """

    model: nn.Module
    data: Data | None
    origin: Origin

    @property
    def classes(self) -> int:
        """Outputs that a network for these images has; 0 if that is not known."""
        if self.origin.classes or self.data is None:
            return self.origin.classes
        return self.data.class_count

    def named(self, model: str) -> Origin:
        """How the network is built if it has that name."""
        return Origin(model) if self.data is None else _origin_of(model, self.data)


@dataclass(frozen=True, eq=False)
class SubjectSource:
    """Where the subject of a run comes from: objects, or the names of the command line.

    Attributes:
        model: A network, or the name that `sartor.models.build` takes; empty if not known.
        weights: File of the trained weights of a network that is built by name.
        data: Images, or what `sartor.data.load` reads them from; empty if not known.
        seed: Chooses calibration images and the weights of networks without a file.
        folder: That of the run, for messages.
        pretrained: Whether the weights that a library has for its network are fetched.
        inputs: What is said of how images become inputs.
    """

    model: nn.Module | str = ""
    weights: Path | None = None
    data: Data | str = ""
    seed: int = 0
    folder: Path | None = None
    pretrained: bool = False
    inputs: InputOptions = field(default_factory=InputOptions)

    @property
    def preprocessing(self) -> Preprocessing:
        """How images become inputs: as is said, else as is known of the weights or the network."""
        known = models.known_preprocessing(self.model, self.weights, pretrained=self.pretrained)
        return self.inputs.over(known)

    def load(self, *, calibration: int, origin: Origin | None = None) -> Subject:
        """The network with its trained weights, and the data where it is known.

        Images that are read have ``calibration`` for calibration; ``origin`` says what the network
        is, where that is known.

        Raises `RunError` if neither an object nor a name of the network is known, `UsageError`
        for a zoo network without weights, and what loading each of them raises.
        """
        images = self.load_data(calibration) if self.data else None
        if isinstance(self.model, nn.Module):
            return Subject(self.model, images, origin or Origin())
        if origin is None or not origin.model:
            name = self._name()
            origin = Origin(name) if images is None else _origin_of(name, images)
            if self.pretrained:
                # Data may lack some of the classes that the weights were trained on.
                classes = models.pretrained_classes(name) or origin.classes
                origin = replace(origin, classes=classes)

        missing = f"--weights is missing: {origin.model} would be compressed with random weights"
        # Forked: what a caller draws must not depend on how a network is built.
        with seeded(self.seed):  # fresh weights, where no file is given
            model = models.build_trained(
                origin.model,
                self.weights,
                classes=origin.classes,
                pixels=origin.pixels,
                missing=missing,
                pretrained=self.pretrained,
            )

        # Grey images are repeated for a network that reads colours.
        channels = models.input_channels(model)
        if images is not None and channels is not None:
            images = images.with_channels(channels)
        return Subject(model, images, origin)

    def load_both(self, calibration: int, origin: Origin | None = None) -> tuple[Subject, Data]:
        """The network and the data, without which this cannot be done. Raises as `load`."""
        images = self.load_data(calibration)
        known = replace(self, data=images, inputs=InputOptions())
        subject = known.load(calibration=calibration, origin=origin)
        assert subject.data is not None
        return subject, subject.data

    def load_data(self, calibration: int) -> Data:
        """The images. Raises `RunError` if neither an object nor a name of them is known."""
        if isinstance(self.data, Data) and self.inputs == InputOptions():
            return self.data
        if not self.data:
            raise RunError(
                f"{self.folder} names no data, which this needs: it was searched with objects of "
                "Python, or with evaluate. Give it: sartor.Run(folder, data=...) in Python, "
                "--data on the command line"
            )

        # Networks must see images as they saw them in training.
        preprocessing = self.preprocessing
        if isinstance(self.data, Data) and not preprocessing.keeps_size:
            raise UsageError(
                f"images in memory cannot be resized or cropped ({preprocessing.describe()}); "
                "give them as the network reads them, or give the folder that they come from"
            )
        _LOG.info("inputs: %s", preprocessing.describe())
        return data.load(
            self.data,
            calibration=calibration,
            seed=self.seed,
            mean=preprocessing.mean,
            std=preprocessing.std,
        )

    def build(self, origin: Origin) -> nn.Module:
        """The network with whatever weights, to lay out a stored one by."""
        if isinstance(self.model, nn.Module):
            return self.model

        name = origin.model or self._name()
        with seeded(self.seed):
            return models.build(name, classes=origin.classes, pixels=origin.pixels)

    def _name(self) -> str:
        assert isinstance(self.model, str)
        if not self.model:
            raise RunError(
                f"{self.folder} was made from a network that was an object of Python. Give it: "
                "sartor.Run(folder, model=...) in Python, --model package.module:callable and "
                "--weights on the command line"
            )
        return self.model


def as_source(
    model: object,
    data: object,
    *,
    weights: str | Path | None,
    seed: int,
    pretrained: bool,
    inputs: InputOptions,
) -> SubjectSource:
    """Where a network and data come from. Raises `UsageError` for neither object nor name."""
    if not isinstance(model, (nn.Module, str)):
        raise UsageError(
            f"model is a {type(model).__name__}; it must be a torch.nn.Module, or a name: of the "
            "zoo, timm:NAME, torchvision:NAME, or package.module:callable"
        )
    if isinstance(data, Path):
        data = str(data)
    if data is None:
        data = ""
    if not isinstance(data, (Data, str)):
        raise UsageError(
            f"data is a {type(data).__name__}; it must be sartor.Data, or a name: digits, or the "
            "folder of a data set"
        )

    file = Path(weights) if weights else None
    return SubjectSource(model, file, data, seed=seed, pretrained=pretrained, inputs=inputs)


def _origin_of(name: str, images: Data) -> Origin:
    """A network of that name, for the classes and the size of some images."""
    pixels = images.validation.pixels.shape[-1]
    return Origin(name, images.class_count, pixels)
