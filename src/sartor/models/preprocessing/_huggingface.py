"""Hugging Face's image processors: the object, or what its preprocessor_config.json holds."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from sartor.data import Preprocessing
from sartor.errors import UsageError
from sartor.models.preprocessing._filters import interpolation_of
from sartor.models.preprocessing._reader import Reader, entry, has_entries, numbers

_LEVELS = 255
#: Families whose size of one number is the shorter side; that of others is a square.
_SHORTER_SIDE = ("CLIP", "ConvNext", "Levit", "MobileNet", "MobileViT", "PoolFormer", "Bit")
#: What ConvNeXt's leaves at the edges of small images, and Levit's of all.
_CONVNEXT_CROP = 224 / 256
_CONVNEXT_SMALL = 384
_LEVIT_RATIO = 256 / 224
#: What processors do that is not followed.
_UNKNOWN = {
    "do_flip_channel_order": "reads blue first",
    "do_pad": "pads images",
    "do_thumbnail": "makes thumbnails",
    "do_align_long_axis": "turns images",
}


class ImageProcessor(Reader):
    """An image processor of classification, or the mapping that its file holds."""

    @staticmethod
    def recognises(value: Any) -> bool:
        """Whether it has a size and says whether images are normalised."""
        return has_entries(value, "size") and has_entries(value, "do_normalize")

    @staticmethod
    def read(value: Any) -> Preprocessing:
        """What it does, in its order: resize, crop, rescale, normalise.

        Raises `UsageError` for what cannot be followed.
        """
        for name, what in _UNKNOWN.items():
            if entry(value, name):
                raise UsageError(f"the image processor {what} ({name}), which cannot be followed")

        mean, std = _scale(value)
        resize, crop = _sizes(value)
        return Preprocessing(
            channels=3 if len(mean) == 3 else None,
            resize=resize,
            interpolation=interpolation_of(entry(value, "resample")),
            crop=crop,
            mean=mean,
            std=std,
            origin="from the Hugging Face image processor",
        )


def _family(value: Any) -> str:
    """The processor's class; files of former versions called it a feature extractor."""
    for name in ("image_processor_type", "feature_extractor_type"):
        given = entry(value, name)
        if given:
            return str(given)
    return type(value).__name__


def _sizes(value: Any) -> tuple[int | tuple[int, int] | None, int | tuple[int, int] | None]:
    """What images are resized to, and what is cut from them."""
    family = _family(value)
    size = _size(entry(value, "size"), family)
    resize = size if entry(value, "do_resize", True) else None
    crop = None
    if entry(value, "do_center_crop", False):
        # What is cut is a square where one number says it.
        crop = _size(entry(value, "crop_size"), "", is_crop=True)

    if resize is not None and family.startswith("ConvNext"):
        return _convnext_sizes(value, size)
    if isinstance(resize, int) and family.startswith("Levit"):
        resize = int(_LEVIT_RATIO * resize)
    return resize, crop


def _convnext_sizes(
    value: Any, size: int | tuple[int, int]
) -> tuple[int | tuple[int, int], int | None]:
    side = size if isinstance(size, int) else size[0]
    if side >= _CONVNEXT_SMALL:
        return (side, side), None
    fraction = float(entry(value, "crop_pct") or _CONVNEXT_CROP)
    return int(side / fraction), side


def _size(given: Any, family: str, *, is_crop: bool = False) -> int | tuple[int, int]:
    """A size in any of the ways in which it is written."""
    if isinstance(given, int):
        is_shorter_side = is_crop or family.startswith(_SHORTER_SIDE)
        return given if is_shorter_side else (given, given)
    if has_entries(given, "height", "width"):
        height, width = int(entry(given, "height")), int(entry(given, "width"))
        return height if is_crop and height == width else (height, width)
    if has_entries(given, "shortest_edge") and not has_entries(given, "longest_edge"):
        return int(entry(given, "shortest_edge"))
    written = dict(given) if isinstance(given, Mapping) else given
    raise UsageError(
        f"the image processor's size is {written!r}, which cannot be followed; give resize and crop"
    )


def _scale(value: Any) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """Mean and standard deviation of pixels in [0, 1], whatever range the processor takes."""
    factor = 1.0
    if entry(value, "do_rescale", True):
        factor = float(entry(value, "rescale_factor") or 1 / _LEVELS)
    # What a pixel of 1 is multiplied with.
    brightness = _LEVELS * factor
    offset = 1.0 if entry(value, "rescale_offset") and entry(value, "do_rescale", True) else 0.0

    mean = numbers(0.0, channels=3)
    std = numbers(1.0, channels=3)
    if entry(value, "do_normalize"):
        mean = numbers(entry(value, "image_mean"))
        std = numbers(entry(value, "image_std"))
    if entry(value, "include_top"):
        # EfficientNet's divides once more.
        again = numbers(entry(value, "image_std"))
        std = tuple(one * other for one, other in zip(std, again, strict=True))

    means = tuple(round((number + offset) / brightness, 9) for number in mean)
    stds = tuple(round(number / brightness, 9) for number in std)
    return means, stds
