"""Images for all that a search does."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from dataclasses import dataclass

from sartor.data._images import Images, are_class_numbers
from sartor.errors import DataError


@dataclass(frozen=True, eq=False)
class Data:
    """What a search needs.

    Raises `DataError` where the parts have images of different shape, and for labels below 0 or
    beyond the ``classes``.

    >>> import torch
    >>> images = Images(torch.rand(8, 1, 4, 4), torch.arange(8) % 3)
    >>> Data(images, images).class_count
    3

    Attributes:
        calibration: Images to compute statistics from; their labels are not used.
        validation: Images for the reward.
        test: Images scored once, at the end.
        classes: Names of the classes, in the order of their labels, where they are known.
        remarks: What is to be known of how the images were chosen and made, a sentence each.
    """

    calibration: Images
    validation: Images
    test: Images | None = None
    classes: tuple[str, ...] = ()
    remarks: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        expected = self.calibration.shape

        for name, images in self._scored():
            shape = images.shape
            if shape != expected:
                raise DataError(
                    f"{name} images are of shape {shape}, "
                    f"calibration images of {expected}; all must agree"
                )
            self._require_labels(name, images)

    def _require_labels(self, name: str, images: Images) -> None:
        """Raise `DataError` for class numbers below 0 or beyond the classes."""
        if not are_class_numbers(images.labels):
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
        for images in (self.calibration, *self._held_out()):
            if are_class_numbers(images.labels):
                highest_of_part = int(images.labels.max())
                highest = max(highest, highest_of_part)

        # Labels count from 0.
        return 1 + highest

    def with_channels(self, count: int) -> Data:
        """All images as `Images.with_channels` makes them."""
        return self._each(lambda images: images.with_channels(count))

    def normalised(self, mean: tuple[float, ...], std: tuple[float, ...]) -> Data:
        """All images with a mean and standard deviation, unless they have their own."""

        def normalised(images: Images) -> Images:
            if images.mean:
                return images
            alike = images.with_channels(len(mean))
            return dataclasses.replace(alike, mean=mean, std=std)

        return self._each(normalised)

    @property
    def exceeds_one(self) -> bool:
        """Whether there are floating-point images with numbers below 0 or above 1."""
        return any(images.exceeds_one for images in (self.calibration, *self._held_out()))

    def _each(self, change: Callable[[Images], Images]) -> Data:
        return dataclasses.replace(
            self,
            calibration=change(self.calibration),
            validation=change(self.validation),
            test=None if self.test is None else change(self.test),
        )

    def _held_out(self) -> list[Images]:
        return [images for _, images in self._scored()]

    def _scored(self) -> list[tuple[str, Images]]:
        """What is scored, with its name."""
        parts = [("validation", self.validation)]
        if self.test is not None:
            parts.append(("test", self.test))
        return parts
