"""What a run compresses: a trained network and its data, from objects or from names."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from torch import nn

from sartor import data, models
from sartor.compression import Origin
from sartor.data import Data, Preprocessing, Storage
from sartor.errors import RunError, UsageError
from sartor.machine import seeded
from sartor.models import InputOptions


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
        data: Images, or what `sartor.data.load` makes them of; empty if not known.
        seed: Chooses calibration images and the weights of networks without a file.
        folder: That of the run, for messages.
        pretrained: Whether the weights that a library has for its network are fetched.
        inputs: What is said of how images become inputs.
        images: Folder of decoded images that memory is too small for; a temporary file if None.
    """

    model: nn.Module | str = ""
    weights: Path | None = None
    data: Any = ""
    seed: int = 0
    folder: Path | None = None
    pretrained: bool = False
    inputs: InputOptions = field(default_factory=InputOptions)
    images: Path | None = None

    @property
    def has_data(self) -> bool:
        """Whether anything is known of the data."""
        # Objects are not asked whether they are true: they may be empty, or have no length.
        return self.data is not None and not (isinstance(self.data, str) and not self.data)

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
        images = self.load_data(calibration) if self.has_data else None
        return self._subject(images, origin)

    def load_both(self, calibration: int, origin: Origin | None = None) -> tuple[Subject, Data]:
        """The network and the data, without which this cannot be done. Raises as `load`."""
        images = self.load_data(calibration)
        subject = self._subject(images, origin)
        assert subject.data is not None
        return subject, subject.data

    def load_data(self, calibration: int) -> Data:
        """The images. Raises `RunError` if neither an object nor a name of them is known."""
        if isinstance(self.data, Data) and self.inputs == InputOptions():
            return self.data
        if not self.has_data:
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
        return data.load(
            self.data,
            calibration=calibration,
            seed=self.seed,
            preprocessing=preprocessing,
            storage=Storage(self.images),
        )

    def _subject(self, images: Data | None, origin: Origin | None) -> Subject:
        if isinstance(self.model, nn.Module):
            # Tensors that somebody made for a network of his own are what it reads.
            if images is not None and images is not self.data:
                images = _readable(self.model, images)
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
        if images is not None:
            images = _readable(model, images)
        return Subject(model, images, origin)

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
    images: Path | None = None,
) -> SubjectSource:
    """Where a network and data come from. Raises `UsageError` for neither object nor name."""
    if not isinstance(model, (nn.Module, str)):
        raise UsageError(
            f"model is a {type(model).__name__}; it must be a torch.nn.Module, or a name: of the "
            "zoo, timm:NAME, torchvision:NAME, or package.module:callable"
        )
    if isinstance(data, Path):
        data = str(data)
    file = Path(weights) if weights else None
    return SubjectSource(
        model,
        file,
        data,
        seed=seed,
        pretrained=pretrained,
        inputs=inputs,
        images=images,
    )


def _readable(model: nn.Module, images: Data) -> Data:
    """Images of as many channels as a network reads: grey ones repeated, or colours made grey."""
    channels = models.input_channels(model)
    return images if channels is None else images.with_channels(channels)


def _origin_of(name: str, images: Data) -> Origin:
    """A network of that name, for the classes and the size of some images."""
    pixels = images.validation.shape[-1]
    return Origin(name, images.class_count, pixels)
