"""Labelled images, or any samples that a network reads."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from sartor.data._scale import require_scale
from sartor.errors import DataError

_LARGEST_OF_16_BITS = 65535


@dataclass(frozen=True, eq=False)
class Images:
    """Images as stored, with what is right for each.

    uint8 images are scaled to [0, 1] on use, those of 16 bits (uint16) at once; ``mean`` and
    ``std`` are then applied.

    Raises `DataError` for pixels that are NaN or infinite, and for labels that are not as many.

    >>> images = Images(torch.full((2, 3, 4, 4), 255, dtype=torch.uint8), torch.tensor([0, 1]))
    >>> len(images), float(images.normalized().max())
    (2, 1.0)

    Attributes:
        pixels: (count, channels, height, width), or any shape with the channels second; NumPy
            arrays become tensors.
        labels: (count, …), as the task wants them: for classification whole numbers from 0,
            (count,).
        mean: One number per channel, on the scale of the network's inputs; empty for none.
        std: One number above 0 per channel; empty for none.
    """

    pixels: Tensor
    labels: Tensor
    mean: tuple[float, ...] = ()
    std: tuple[float, ...] = ()

    def __post_init__(self) -> None:
        pixels = _tensor(self.pixels, "images")
        labels = _tensor(self.labels, "labels")
        _require_alike(pixels, labels)

        # At once, for torch can do little with uint16.
        if pixels.dtype == torch.uint16:
            pixels = pixels.float() / _LARGEST_OF_16_BITS

        # The fields of a frozen class cannot be assigned.
        object.__setattr__(self, "pixels", pixels)
        whole = labels.float() if labels.is_floating_point() else labels.long()
        object.__setattr__(self, "labels", whole)

        require_scale(self.mean, self.std, channels=pixels.shape[1])
        _require_finite(pixels)

    def __len__(self) -> int:
        return len(self.pixels)

    def slice(self, start: int, stop: int | None = None) -> Images:
        """Images ``start`` to ``stop`` − 1."""
        return Images(self.pixels[start:stop], self.labels[start:stop], self.mean, self.std)

    def with_channels(self, count: int) -> Images:
        """Grey images repeated to ``count`` channels; images of several channels as they are."""
        pixels = repeat_grey(self.pixels, count)
        if pixels is self.pixels:
            return self

        mean = self.mean * count
        std = self.std * count
        return Images(pixels, self.labels, mean, std)

    def normalized(self) -> Tensor:
        """All images as the network wants them."""
        return self.batch(slice(None))

    def batch(self, chosen: slice | Tensor, device: torch.device | None = None) -> Tensor:
        """Some images, by their numbers, as the network wants them.

        With a ``device`` they are brought there as they are stored, and made ready there. Float32,
        but for sequences of whole numbers of 64 bits (count, length): these are numbers
        of words, which an embedding reads as they are.
        """
        # Bytes, not floats, travel to a GPU: a quarter of them.
        pixels = self.pixels[chosen].to(device)
        if pixels.dtype == torch.uint8:
            x = pixels.float() / 255
        elif _are_words(pixels):
            return pixels
        else:
            x = pixels.float()
        if not self.mean:
            return x

        # Channels are second, whatever axes come after them.
        behind = [1] * (x.dim() - 2)
        shape = (1, -1, *behind)
        mean = torch.tensor(self.mean, device=x.device).view(shape)
        std = torch.tensor(self.std, device=x.device).view(shape)

        return (x - mean) / std


@dataclass(frozen=True, eq=False)
class Data:
    """What a search needs.

    Raises `DataError` where the parts have images of different shape, and for labels below 0 or
    beyond the ``classes``.

    >>> images = Images(torch.rand(8, 1, 4, 4), torch.arange(8) % 3)
    >>> Data(images, images).class_count
    3

    Attributes:
        calibration: Images to compute statistics from; their labels are not used.
        validation: Images for the reward.
        test: Images scored once, at the end.
        classes: Names of the classes, in the order of their labels, where they are known.
        remarks: What is to be known of how the images were split, one sentence each.
    """

    calibration: Images
    validation: Images
    test: Images | None = None
    classes: tuple[str, ...] = ()
    remarks: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        expected = tuple(self.calibration.pixels.shape[1:])

        for name, images in self._scored():
            shape = tuple(images.pixels.shape[1:])
            if shape != expected:
                raise DataError(
                    f"{name} images are of shape {shape}, "
                    f"calibration images of {expected}; all must agree"
                )
            self._require_labels(name, images)

    def _require_labels(self, name: str, images: Images) -> None:
        """Raise `DataError` for class numbers below 0 or beyond the classes."""
        if not _are_class_numbers(images.labels):
            return

        lowest = int(images.labels.min())
        if lowest < 0:
            raise DataError(f"{name} images have the label {lowest}; labels count from 0")

        highest = int(images.labels.max())
        if self.classes and highest >= len(self.classes):
            raise DataError(
                f"{name} images have the label {highest}, "
                f"but there are {len(self.classes)} classes, counted from 0"
            )

    @property
    def class_count(self) -> int:
        """Number of classes; where they have no names, as many as the largest label demands.

        0 where labels are no class numbers.
        """
        if self.classes:
            return len(self.classes)

        highest = -1
        for images in (self.calibration, *(part for _, part in self._scored())):
            if _are_class_numbers(images.labels):
                highest_of_part = int(images.labels.max())
                highest = max(highest, highest_of_part)

        # Labels count from 0.
        return 1 + highest

    def with_channels(self, count: int) -> Data:
        """All images as `Images.with_channels` makes them."""
        test = self.test
        if test is not None:
            test = test.with_channels(count)

        return dataclasses.replace(
            self,
            calibration=self.calibration.with_channels(count),
            validation=self.validation.with_channels(count),
            test=test,
        )

    def _scored(self) -> list[tuple[str, Images]]:
        """What is scored, with its name."""
        parts = [("validation", self.validation)]
        if self.test is not None:
            parts.append(("test", self.test))
        return parts


def repeat_grey(pixels: Tensor, count: int) -> Tensor:
    """Images of one channel repeated to ``count``; others as they are."""
    if pixels.shape[1] != 1 or count <= 1:
        return pixels
    return torch.cat([pixels] * count, 1)


def _are_words(pixels: Tensor) -> bool:
    return pixels.dtype == torch.int64 and pixels.dim() == 2


def _are_class_numbers(labels: Tensor) -> bool:
    return labels.dim() == 1 and not labels.is_floating_point()


def _tensor(given: Any, what: str) -> Tensor:
    """A tensor of what may be an array. Raises `DataError` for what holds no numbers."""
    try:
        tensor = torch.as_tensor(given)
    except Exception as error:  # torch raises many kinds
        raise DataError(
            f"{what} must be a tensor or an array of numbers, not {type(given).__name__}: {error}"
        ) from error
    if tensor.is_complex():
        raise DataError(f"{what} are complex numbers; they must be real")
    return tensor.detach()


def _require_alike(pixels: Tensor, labels: Tensor) -> None:
    """Raise `DataError` unless there are images with one label each."""
    if pixels.dim() < 2:
        raise DataError(
            f"images have shape {tuple(pixels.shape)}; they must be (count, channels, …)"
        )
    if not len(pixels):
        raise DataError("the data set is empty: at least one image is needed")
    if not labels.dim():
        raise DataError(f"labels are a single number, {labels.item()}; there must be one per image")
    if len(pixels) != len(labels):
        raise DataError(
            f"{len(pixels)} images but {len(labels)} labels; there must be one label per image"
        )


def _require_finite(pixels: Tensor) -> None:
    if not pixels.is_floating_point():
        return

    per_image = pixels.isfinite().flatten(1)
    finite = per_image.all(1)
    if not finite.all():
        # The first of the smallest, which are the zeros.
        bad = int(finite.int().argmin())
        raise DataError(f"image {bad} has pixels that are NaN or infinite")
