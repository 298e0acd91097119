"""How a stored image becomes what a network was trained on."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal, get_args

import numpy as np
import numpy.typing as npt

from sartor.data._plain import plain, upright
from sartor.data._scale import require_scale
from sartor.errors import DataError, UsageError
from sartor.machine import require
from sartor.registry import did_you_mean

Interpolation = Literal["nearest", "box", "bilinear", "hamming", "bicubic", "lanczos"]
INTERPOLATIONS: tuple[Interpolation, ...] = get_args(Interpolation)

#: Where the numbers come from if nobody gave any.
NOWHERE = "none: inputs are in [0, 1]"

_CHANNELS = (None, 1, 3)
_CHANNELS_TEXT = {None: "channels as stored", 1: "grey", 3: "3 channels"}


@dataclass(frozen=True)
class Preprocessing:
    """What is done with an image before a network sees it, in the order of the fields.

    Photos are turned upright first. Resizing filters with antialiasing, as torchvision's and timm's
    transforms do with images of Pillow.

    Raises `UsageError` for a value that cannot be, and `DataError` for a mean and standard
    deviation that do not fit together.

    >>> imagenet = Preprocessing(resize=256, crop=224, mean=(0.485, 0.456, 0.406),
    ...     std=(0.229, 0.224, 0.225))
    >>> imagenet.describe()
    'shorter side 256 (bilinear), centre 224 x 224, mean 0.485,0.456,0.406 std 0.229,0.224,0.225
     (given)'
    >>> from PIL import Image
    >>> imagenet.apply(Image.new("RGB", (640, 480))).shape
    (3, 224, 224)

    Attributes:
        channels: 1 (grey) or 3 (colours); None as the image is stored.
        resize: Shorter side in pixels, the longer one in proportion; or (height, width), whatever
            becomes of the proportions; None as the image is.
        interpolation: The filter of resizing.
        crop: Side of the square, or (height, width), cut from the centre; what lies beyond the
            image is black; None for all of it.
        mean: One number per channel, subtracted once pixels are in [0, 1]; empty for none.
        std: One number above 0 per channel, divided by after that; empty for none.
        origin: Where these numbers come from, in words.
    """

    channels: int | None = None
    resize: int | tuple[int, int] | None = None
    interpolation: Interpolation = "bilinear"
    crop: int | tuple[int, int] | None = None
    mean: tuple[float, ...] = ()
    std: tuple[float, ...] = ()
    origin: str = ""

    def __post_init__(self) -> None:
        # The fields of a frozen class cannot be assigned; lists come from files.
        object.__setattr__(self, "mean", tuple(map(float, self.mean)))
        object.__setattr__(self, "std", tuple(map(float, self.std)))
        if self.channels not in _CHANNELS:
            raise UsageError(f"channels is {self.channels}; allowed are 1, 3 and None")
        if self.interpolation not in INTERPOLATIONS:
            meant = did_you_mean(self.interpolation, INTERPOLATIONS)
            allowed = ", ".join(INTERPOLATIONS)
            raise UsageError(
                f"interpolation is {self.interpolation!r}; {meant}allowed are {allowed}"
            )
        _require_size(self.resize, "resize")
        _require_size(self.crop, "crop")
        # Per channel of what is stored, where that is not said.
        require_scale(self.mean, self.std, channels=self.channels or len(self.mean))

        if not self.origin:
            changes = bool(self.channels or self.resize or self.crop or self.mean)
            object.__setattr__(self, "origin", "given" if changes else NOWHERE)

    @property
    def keeps_size(self) -> bool:
        """Whether images stay as large as they are stored."""
        return self.resize is None and self.crop is None

    def describe(self) -> str:
        """All of it in one line, with where it comes from.

        >>> Preprocessing().describe()
        'size as stored (none: inputs are in [0, 1])'
        >>> Preprocessing(channels=1, crop=(28, 32), mean=(0.5,), std=(0.25,)).describe()
        'grey, centre 28 x 32, mean 0.5 std 0.25 (given)'
        """
        steps = []
        if self.channels is not None:
            steps.append(_CHANNELS_TEXT[self.channels])

        if isinstance(self.resize, int):
            steps.append(f"shorter side {self.resize} ({self.interpolation})")
        elif self.resize is not None:
            steps.append(f"resized to {_text(self.resize)} ({self.interpolation})")
        if self.crop is not None:
            steps.append(f"centre {_text(_pair(self.crop))}")
        if self.keeps_size:
            steps.append("size as stored")

        if self.mean:
            steps.append(f"mean {_numbers(self.mean)} std {_numbers(self.std)}")
        return f"{', '.join(steps)} ({self.origin})"

    def apply(self, image: Any, name: str = "the image") -> npt.NDArray[Any]:
        """Pixels (channels, height, width) of an image of Pillow, before ``mean`` and ``std``.

        uint8; float32 in [0, 1] for images of 16 bits, and as stored for floating-point ones.
        ``name`` is what messages call the image.

        Raises `DataError` for transparent pixels, for whole numbers of 32 bits, and for photos
        that cannot be decoded.
        """
        try:
            found = plain(upright(image), name)
        except DataError:
            raise
        except Exception as error:  # Pillow raises many kinds
            raise DataError(f"{name} cannot be decoded as an image: {error}") from error

        if self.channels == 1 and found.mode == "RGB":
            found = found.convert("L")
        resized = self._resized(found)
        cropped = self._cropped(resized)

        pixels = np.asarray(cropped)
        if pixels.ndim == 2:
            count = self.channels or 1
            return np.repeat(pixels[None], count, axis=0)
        return np.ascontiguousarray(pixels.transpose(2, 0, 1))

    def _resized(self, image: Any) -> Any:
        if self.resize is None:
            return image
        height, width = _size_after(image.height, image.width, self.resize)
        if (height, width) == (image.height, image.width):
            return image

        filters = require("PIL.Image", extra="data").Resampling
        filter_ = filters[self.interpolation.upper()]
        return image.resize((width, height), filter_)

    def _cropped(self, image: Any) -> Any:
        if self.crop is None:
            return image
        height, width = _pair(self.crop)
        top = _offset(image.height, height)
        left = _offset(image.width, width)
        return image.crop((left, top, left + width, top + height))


def _size_after(height: int, width: int, resize: int | tuple[int, int]) -> tuple[int, int]:
    """Height and width after resizing, rounded as torchvision does."""
    if isinstance(resize, tuple):
        return resize
    if height <= width:
        return resize, int(resize * width / height)
    return int(resize * height / width), resize


def _offset(size: int, wanted: int) -> int:
    """Where the centre begins, as torchvision rounds it; below 0 if the image is too small."""
    if size < wanted:
        return -((wanted - size) // 2)
    return round((size - wanted) / 2)


def _pair(size: int | tuple[int, int]) -> tuple[int, int]:
    return (size, size) if isinstance(size, int) else size


def _require_size(size: object, what: str) -> None:
    if size is None:
        return
    sides: tuple[object, ...] = (size,)
    if isinstance(size, tuple) and len(size) == 2:
        sides = size
    for side in sides:
        if isinstance(side, bool) or not isinstance(side, int) or side < 1:
            raise UsageError(
                f"{what} is {size!r}; it must be a number of pixels, at least 1, "
                "or two of them, height and width"
            )


def _text(size: tuple[int, int]) -> str:
    height, width = size
    return f"{height} x {width}"


def _numbers(numbers: tuple[float, ...]) -> str:
    return ",".join(f"{number:.4g}" for number in numbers)
