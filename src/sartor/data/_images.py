"""Labelled images held in memory."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from sartor.errors import DataError


@dataclass(frozen=True, eq=False)
class Images:
    """Images as stored, (count, channels, height, width), with one label each.

    uint8 images are scaled to [0, 1] on use; ``mean`` and ``std`` (one number per channel) are then applied.
    """

    pixels: Tensor
    labels: Tensor
    mean: tuple[float, ...] = ()
    std: tuple[float, ...] = ()

    def __post_init__(self) -> None:
        if not len(self.pixels):
            raise DataError("the data set is empty: at least one image is needed")
        if len(self.pixels) != len(self.labels):
            raise DataError(
                f"{len(self.pixels)} images but {len(self.labels)} labels; there must be one label per image"
            )
        channels = self.pixels.shape[1]
        if self.mean and not len(self.mean) == len(self.std) == channels:
            raise DataError(
                f"mean {self.mean} and std {self.std} must have one number for each of {channels} channels"
            )
        mean, std = (
            torch.tensor(self.mean),
            torch.tensor(self.std),
        )  # as they are applied: in float32, 1e-50 is 0
        if not (mean.isfinite().all() and std.isfinite().all() and (std > 0).all()):
            raise DataError(
                f"mean {self.mean} and std {self.std} must be finite, and every std above 0"
            )
        if (
            self.pixels.is_floating_point()
            and not (finite := self.pixels.isfinite().flatten(1).all(1)).all()
        ):
            raise DataError(
                f"image {int(finite.int().argmin())} has pixels that are NaN or infinite"
            )

    def __len__(self) -> int:
        return len(self.pixels)

    def slice(self, start: int, stop: int | None = None) -> Images:
        """Images ``start`` to ``stop`` − 1."""
        return Images(self.pixels[start:stop], self.labels[start:stop], self.mean, self.std)

    def normalized(self) -> Tensor:
        """All images as the network wants them, float32."""
        x = self.pixels.float()
        if self.pixels.dtype == torch.uint8:
            x = x / 255
        if self.mean:
            shape = (1, -1, *(1,) * (x.dim() - 2))
            x = (x - torch.tensor(self.mean).view(shape)) / torch.tensor(self.std).view(shape)
        return x


@dataclass(frozen=True, eq=False)
class Data:
    """What a search needs: ``calibration`` images (unlabelled use), ``validation`` for the reward, ``test`` scored once."""

    calibration: Images
    validation: Images
    test: Images | None = None
