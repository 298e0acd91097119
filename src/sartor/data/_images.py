"""Labelled images, or any samples that a network reads."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from sartor.data._scale import require_scale
from sartor.errors import DataError

_LARGEST_OF_16_BITS = 65535

#: Which images: those from a place to another, or by their numbers.
Numbers = slice | Tensor

#: How bright red, green and blue are (ITU-R 601), also in parts of 65,536.
_LUMA = (0.299, 0.587, 0.114)
_LUMA_16 = (19595, 38470, 7471)

#: Images that are looked at together.
_SLAB = 256


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
        channels: Of batches, if they have others than the images that are stored: grey ones are
            repeated, colours become grey.
    """

    pixels: Tensor
    labels: Tensor
    mean: tuple[float, ...] = ()
    std: tuple[float, ...] = ()
    channels: int | None = None

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

        require_scale(self.mean, self.std, channels=self.shape[0])
        _require_finite(pixels)

    def __len__(self) -> int:
        return len(self.pixels)

    @property
    def shape(self) -> tuple[int, ...]:
        """Of one image in a batch: (channels, height, width), or whatever the network reads."""
        stored = self.pixels.shape[1:]
        return (self.channels or stored[0], *stored[1:])

    @property
    def exceeds_one(self) -> bool:
        """Whether these are floating-point numbers, some of them below 0 or above 1."""
        if not self.pixels.is_floating_point():
            return False
        return any(bool(some.min() < 0) or bool(some.max() > 1) for some in _slabs(self.pixels))

    def slice(self, start: int, stop: int | None = None) -> Images:
        """Images ``start`` to ``stop`` − 1."""
        return dataclasses.replace(
            self,
            pixels=self.pixels[start:stop],
            labels=self.labels[start:stop],
        )

    def with_channels(self, count: int) -> Images:
        """The same images in batches of 1 channel or 3: grey repeated, or colours made grey.

        Those of any other number of channels are as they are.
        """
        stored = self.pixels.shape[1]
        is_grey = stored == 1
        becomes_grey = (stored, count) == (3, 1)
        is_image = self.pixels.dim() > 2
        if not is_image or not (is_grey or becomes_grey) or self.shape[0] == count:
            return self

        mean = self.mean
        std = self.std
        if len(mean) == 1:
            mean = mean * count
            std = std * count
        return dataclasses.replace(self, mean=mean, std=std, channels=count)

    def to(self, device: torch.device) -> Images:
        """The same images, their pixels on a device."""
        return dataclasses.replace(self, pixels=self.pixels.to(device))

    def normalized(self) -> Tensor:
        """All images as the network wants them."""
        return self.batch(slice(None))

    def batch(self, chosen: Numbers, device: torch.device | None = None) -> Tensor:
        """Some images, by their numbers, as the network wants them.

        With a ``device`` they are brought there as they are stored, and made ready there. Float32,
        but for sequences of whole numbers of 64 bits (count, length): these are numbers of
        words, which an embedding reads as they are.
        """
        # Bytes, not floats, travel to a GPU: a quarter of them.
        stored = self.pixels[chosen].to(device)
        pixels = _in_channels(stored, self.channels)
        if pixels.dtype == torch.uint8:
            x = pixels.float().div_(255)
        elif _are_words(pixels):
            return pixels
        else:
            x = pixels.to(torch.float32, copy=True)
        if not self.mean:
            return x

        # Channels are second, whatever axes come after them.
        behind = [1] * (x.dim() - 2)
        shape = (1, -1, *behind)
        mean = torch.tensor(self.mean, device=x.device).view(shape)
        std = torch.tensor(self.std, device=x.device).view(shape)

        # In place: each copy of many photos is as large as all of them.
        return x.sub_(mean).div_(std)


def _in_channels(pixels: Tensor, count: int | None) -> Tensor:
    """Images of a number of channels."""
    if count is None or pixels.shape[1] == count:
        return pixels
    if count != 1:
        return torch.cat([pixels] * count, 1)

    if pixels.dtype == torch.uint8:
        # As Pillow rounds it.
        whole = (pixels.int() * _luma(_LUMA_16, pixels)).sum(1, keepdim=True)
        return ((whole + 2**15) >> 16).to(torch.uint8)
    return (pixels * _luma(_LUMA, pixels)).sum(1, keepdim=True)


def _luma(weights: tuple[float, ...], pixels: Tensor) -> Tensor:
    """How much of the grey each channel gives, in the shape of a batch."""
    behind = [1] * (pixels.dim() - 2)
    return torch.tensor(weights, device=pixels.device).view(1, 3, *behind)


def _slabs(pixels: Tensor) -> Iterator[Tensor]:
    """Images a few at a time: they may lie on disk."""
    for start in range(0, len(pixels), _SLAB):
        yield pixels[start : start + _SLAB]


def _are_words(pixels: Tensor) -> bool:
    return pixels.dtype == torch.int64 and pixels.dim() == 2


def are_class_numbers(labels: Tensor) -> bool:
    """Whether labels are one whole number each."""
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

    for number, some in enumerate(_slabs(pixels)):
        per_image = some.isfinite().flatten(1)
        finite = per_image.all(1)
        if not finite.all():
            # The first of the smallest, which are the zeros.
            bad = number * _SLAB + int(finite.int().argmin())
            raise DataError(f"image {bad} has pixels that are NaN or infinite")
