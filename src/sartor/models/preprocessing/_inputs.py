"""What a user says of a network's inputs."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from typing import Any

from sartor.data import Interpolation, Preprocessing
from sartor.errors import UsageError
from sartor.models.preprocessing._reading import read_preprocessing


@dataclass(frozen=True)
class InputOptions:
    """How images become the network's inputs, where that is not known already.

    Attributes:
        mean: One number per channel, subtracted once pixels are in [0, 1]: 0.485,0.456,0.406.
            Not given, nor known of the network: none.
        std: One number per channel, divided by after that.
        resize: Shorter side in pixels, or height,width.
        crop: Side of the square cut from the centre, or height,width.
        interpolation: Filter of resizing; bilinear if nothing else is known.
        preprocessing: Where the rest is read from: the folder of a Hugging Face image processor,
            or package.module:object, which may be torchvision's transforms.
    """

    mean: tuple[float, ...] = ()
    std: tuple[float, ...] = ()
    resize: tuple[int, ...] = ()
    crop: tuple[int, ...] = ()
    interpolation: Interpolation | None = None
    preprocessing: str = ""

    def require_valid(self) -> None:
        """Raise `UsageError`, with the option's name, for what cannot be."""
        for name in ("resize", "crop"):
            sizes = getattr(self, name)
            if len(sizes) > 2 or any(size < 1 for size in sizes):
                written = ",".join(map(str, sizes))
                raise UsageError(
                    f"--{name} is {written}; it must be a number of pixels, at least 1, "
                    "or height,width"
                )
        for given, lacking in (("mean", "std"), ("std", "mean")):
            if getattr(self, given) and not getattr(self, lacking):
                raise UsageError(f"--{given} is given without --{lacking}; both are needed")

    @classmethod
    def of(cls, preprocessing: Preprocessing) -> InputOptions:
        """Options that say all that is done.

        >>> InputOptions.of(Preprocessing(crop=224)).crop
        (224,)
        """
        return cls(
            mean=preprocessing.mean,
            std=preprocessing.std,
            resize=_sizes(preprocessing.resize),
            crop=_sizes(preprocessing.crop),
            interpolation=preprocessing.interpolation if preprocessing.resize else None,
        )

    def over(self, known: Preprocessing) -> Preprocessing:
        """What is given, and where nothing is given what is ``known``.

        >>> known = Preprocessing(resize=256, crop=224, origin="from a file")
        >>> InputOptions(crop=(192,)).over(known).describe()
        'shorter side 256 (bilinear), centre 192 x 192 (crop given, else from a file)'
        """
        self.require_valid()
        if self.preprocessing:
            known = read_preprocessing(self.preprocessing)
        given = self._given()
        if not given:
            return known

        origin = "given"
        says_more = known.mean or not known.keeps_size
        if says_more and len(given) < len(_FIELDS):
            origin = f"{' and '.join(given)} given, else {known.origin}"
        return dataclasses.replace(known, **given, origin=origin)

    def _given(self) -> dict[str, Any]:
        given = {}
        for name in _FIELDS:
            value = getattr(self, name)
            if not value:
                continue
            if name in ("resize", "crop"):
                value = value[0] if len(value) == 1 else value
            given[name] = value
        return given


_FIELDS = ("mean", "std", "resize", "crop", "interpolation")


def _sizes(size: int | tuple[int, int] | None) -> tuple[int, ...]:
    if size is None:
        return ()
    return (size,) if isinstance(size, int) else size
