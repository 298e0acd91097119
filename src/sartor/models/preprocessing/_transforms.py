"""A ``Compose`` of torchvision's transforms, as evaluations write them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from torch import Tensor

from sartor.data import Preprocessing
from sartor.errors import UsageError
from sartor.models.preprocessing._filters import interpolation_of
from sartor.models.preprocessing._reader import Reader, numbers, size_of

#: Steps that change how pixels are held, not what they are.
_IGNORED = (
    *("ToTensor", "MaybeToTensor", "PILToTensor", "MaybePILToTensor", "ToImage", "ToPILImage"),
    *("ToDtype", "ConvertImageDtype", "ToPureTensor"),
)


class Transforms(Reader):
    """Resize, CenterCrop, Grayscale and Normalize, each at most once, in this order."""

    @staticmethod
    def recognises(value: Any) -> bool:
        """Whether it is a list of steps."""
        return isinstance(getattr(value, "transforms", None), (list, tuple))

    @staticmethod
    def read(value: Any) -> Preprocessing:
        """The numbers of all steps. Raises `UsageError` naming a step that is none of these."""
        found: dict[str, Any] = {}
        for step in value.transforms:
            kind = type(step).__name__
            if kind in _IGNORED:
                continue
            if kind not in _STEPS:
                allowed = ", ".join(_STEPS)
                raise UsageError(
                    f"the transform {kind} cannot be followed; allowed are {allowed} and ToTensor"
                )
            found.update(_STEPS[kind](step))
        return Preprocessing(**found, origin="from torchvision's transforms")


def _resize(step: Any) -> dict[str, Any]:
    return {"resize": size_of(step.size), "interpolation": interpolation_of(step.interpolation)}


def _crop(step: Any) -> dict[str, Any]:
    return {"crop": size_of(step.size)}


def _grey(step: Any) -> dict[str, Any]:
    return {"channels": step.num_output_channels}


def _normalize(step: Any) -> dict[str, Any]:
    return {"mean": _flat(step.mean), "std": _flat(step.std)}


def _flat(values: Any) -> tuple[float, ...]:
    """Numbers per channel; timm's own step has them as tensors of (channels, 1, 1)."""
    if isinstance(values, Tensor):
        values = values.flatten()
    return numbers(values)


_STEPS: dict[str, Callable[[Any], dict[str, Any]]] = {
    "Resize": _resize,
    "CenterCrop": _crop,
    "Grayscale": _grey,
    "Normalize": _normalize,
}
