"""How a policy is carried out."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

from sartor.errors import UsageError

#: How channels and weights are ranked: by their size, or by the error their removal causes.
Selection = Literal["magnitude", "error"]
#: Which inputs layers are refitted on.
Refit = Literal["pruned", "original", "none"]
#: How the range of an activation follows from calibration images.
RangeMethod = Literal["minmax", "percentile", "mse"]
#: How weights are rounded to fewer than 8 bits.
Rounding = Literal["fitted", "nearest"]

_COUNTS = ("images", "positions", "final_images", "range_images")


@dataclass(frozen=True)
class CompressOptions:
    """How a policy is carried out.

    Raises `UsageError` for a count below 1, or a ridge that is negative or infinite.

    >>> CompressOptions(images=64).refit
    'pruned'

    Attributes:
        select: What ranks channels and weights: the error their removal causes, or their
            magnitude.
        refit: Layers are refitted on the inputs the pruned network gives, on the original's, or
            not at all.
        batchnorm: Estimate batch-norm statistics anew afterwards.
        ridge: Pull towards the original weights, relative to the mean diagonal of the Gram matrix.
        images: Calibration images for every candidate of a search.
        positions: Places sampled per image and layer; more in layers that read so many inputs that
            they would learn these by heart.
        final_images: Calibration images for the network that is delivered.
        ranges: How the range of an activation follows from calibration images: all of it, all but
            outliers, or least squared error.
        range_images: Calibration images that ranges are taken from.
        rounding: Weights of fewer than 8 bits are rounded together, so that later ones make up for
            what earlier ones lost, or each to the nearest number.
    """

    select: Selection = "error"
    refit: Refit = "pruned"
    batchnorm: bool = False
    ridge: float = 0.05
    images: int = 512
    positions: int = 16
    final_images: int = 2048
    ranges: RangeMethod = "minmax"
    range_images: int = 128
    rounding: Rounding = "fitted"

    def __post_init__(self) -> None:
        for name in _COUNTS:
            value = getattr(self, name)
            if value < 1:
                raise UsageError(f"{name} is {value}; it must be at least 1")

        # Any comparison with NaN is False, so that it is refused too.
        if not 0 <= self.ridge < math.inf:
            raise UsageError(f"ridge is {self.ridge}; it must be at least 0 and finite")

    @property
    def most_images(self) -> int:
        """Calibration images that are ever looked at."""
        return max(self.images, self.final_images, self.range_images)
