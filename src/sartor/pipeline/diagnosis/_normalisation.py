"""Whether a network was trained on images that were normalised in another way."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from sartor.data import Images
from sartor.pipeline.diagnosis._cause import Cause, answers
from sartor.scoring import change_interval

#: Images that are tried: enough to tell ten points.
_COUNT = 200
#: A way is better for certain if it answers at least so many more of them.
_MORE = 0.02
#: So many more, and the inputs are not those of training.
_MANY_MORE = 0.25


@dataclass(frozen=True)
class Way:
    """A way to normalise pixels from 0 to 1.

    Attributes:
        name: What it is known by.
        mean: One number for each channel.
        std: One number for each channel.
    """

    name: str
    mean: tuple[float, ...]
    std: tuple[float, ...]

    def apply(self, pixels: Tensor) -> Tensor:
        """Pixels (count, channels, …) from 0 to 1, as a network would see them."""
        behind = [1] * (pixels.dim() - 2)
        mean = torch.tensor(self.mean).view(1, -1, *behind)
        std = torch.tensor(self.std).view(1, -1, *behind)
        return (pixels - mean) / std

    @property
    def numbers(self) -> str:
        """Mean and standard deviation, as they are given to the library."""
        mean = ",".join(f"{number:g}" for number in self.mean)
        std = ",".join(f"{number:g}" for number in self.std)
        return f"mean {mean} and std {std}"


_OF_COLOURS = (
    Way("ImageNet's", (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)),
    Way("CIFAR-10's", (0.4914, 0.4822, 0.4465), (0.247, 0.2435, 0.2616)),
    Way("CIFAR-100's", (0.5071, 0.4865, 0.4409), (0.2673, 0.2564, 0.2762)),
)
_OF_GREY = (
    Way("MNIST's", (0.1307,), (0.3081,)),
    Way("Fashion-MNIST's", (0.286,), (0.353,)),
)


def other_normalisation(network: nn.Module, images: Images) -> Cause | None:
    """That a network answers more images rightly if they are normalised in another usual way.

    None where no usual way is better for certain, or it is not known what pixels were.
    """
    few = images.slice(0, _COUNT)
    inputs = few.normalized()
    pixels = _unnormalised(few, inputs)
    if pixels is None:
        return None

    labels = few.labels
    correct = answers(network, inputs) == labels
    best: tuple[float, Way, Tensor] | None = None
    for way in _ways(pixels.shape[1]):
        right = answers(network, way.apply(pixels)) == labels
        gain = change_interval(right, correct).low
        if gain > _MORE and (best is None or gain > best[0]):
            best = gain, way, right
    if best is None:
        return None

    gain, way, right = best
    share = float(right.float().mean())
    now = float(correct.float().mean())
    sentence = (
        f"of {len(few)} images it answers {share:.0%} right if they are normalised as {way.name} "
        f"({way.numbers}), {now:.0%} as they are ({normalisation_words(images)}): "
        "give --mean and --std, or mean and std of Images in Python"
    )
    return Cause(sentence, certain=gain > _MANY_MORE, right=share)


def normalisation_words(images: Images) -> str:
    """How images are normalised."""
    if not images.mean:
        return "not normalised"
    return Way("", tuple(images.mean), tuple(images.std)).numbers


def _ways(channels: int) -> Iterator[Way]:
    """The usual ways to normalise images of so many channels."""
    if channels == 3:
        yield from _OF_COLOURS
    if channels == 1:
        yield from _OF_GREY
    zeros = (0.0,) * channels
    halves = (0.5,) * channels
    yield Way("pixels from -1 to 1", halves, halves)
    yield Way("pixels from 0 to 1", zeros, (1.0,) * channels)
    yield Way("pixels from 0 to 255", zeros, (1 / 255,) * channels)


def _unnormalised(images: Images, inputs: Tensor) -> Tensor | None:
    """Pixels from 0 to 1; None where these were normalised before we were given them."""
    pixels = inputs
    if images.mean:
        behind = [1] * (inputs.dim() - 2)
        mean = torch.tensor(images.mean).view(1, -1, *behind)
        std = torch.tensor(images.std).view(1, -1, *behind)
        pixels = inputs * std + mean

    # By more than rounding.
    is_known = pixels.min() > -0.01 and pixels.max() < 1.01
    return pixels if is_known else None
