"""torchvision's networks."""

from __future__ import annotations

import inspect
from collections.abc import Iterable
from types import ModuleType
from typing import Any

from sartor.errors import UsageError
from sartor.machine import require
from sartor.models.libraries._library import Library


class Torchvision(Library):
    """``torchvision:NAME``, such as ``torchvision:resnet18``."""

    @property
    def names(self) -> Iterable[str]:
        """All of ``torchvision.models.list_models()``."""
        return self._models.list_models()

    def create(self, name: str, *, classes: int | None, pretrained: bool) -> Any:
        """As ``torchvision.models.get_model``, with ``weights="DEFAULT"`` if ``pretrained``."""
        if pretrained:
            return self._models.get_model(name, weights="DEFAULT")

        builder = self._models.get_model_builder(name)
        wanted: dict[str, Any] = {"weights": None}
        # Segmentation and detection would fetch those of the backbone otherwise.
        if "weights_backbone" in inspect.signature(builder).parameters:
            wanted["weights_backbone"] = None
        if classes is not None:
            wanted["num_classes"] = classes
        return builder(**wanted)

    def configuration(self, name: str) -> Any:
        """The ``transforms()`` of its default weights."""
        return self._weights(name).transforms()

    def classes(self, name: str) -> int | None:
        """The categories of its default weights."""
        categories = self._weights(name).meta.get("categories")
        return None if categories is None else len(categories)

    def _weights(self, name: str) -> Any:
        try:
            return self._models.get_model_weights(name).DEFAULT
        except ValueError as error:
            raise UsageError(f"model 'torchvision:{name}' has no weights: {error}") from error

    @property
    def _models(self) -> ModuleType:
        return require("torchvision.models", extra="torchvision")
