"""PyTorch Image Models."""

from __future__ import annotations

from collections.abc import Iterable
from types import ModuleType
from typing import Any

from sartor.errors import UsageError
from sartor.machine import require
from sartor.models.libraries._library import Library

#: Names that are looked up on the hub, even without weights.
_ON_THE_HUB = ("hf-hub:", "hf_hub:")


class Timm(Library):
    """``timm:NAME``, such as ``timm:mobilenetv3_small_100`` or ``timm:resnet18.a1_in1k``."""

    @property
    def names(self) -> Iterable[str]:
        """All of ``timm.list_models()``."""
        return self._timm.list_models()

    def create(self, name: str, *, classes: int | None, pretrained: bool) -> Any:
        """As ``timm.create_model``. Raises `UsageError` for what only the hub knows."""
        if name.startswith(_ON_THE_HUB) and not pretrained:
            raise UsageError(
                f"model 'timm:{name}' is described on the hub; give --pretrained to have it fetched"
            )
        if pretrained:
            return self._timm.create_model(name, pretrained=True)
        wanted = {} if classes is None else {"num_classes": classes}
        return self._timm.create_model(name, pretrained=False, **wanted)

    def configuration(self, name: str) -> Any:
        """Its ``pretrained_cfg``."""
        return self._timm.get_pretrained_cfg(name)

    def classes(self, name: str) -> int | None:
        """Those of its ``pretrained_cfg``."""
        config = self.configuration(name)
        return None if config is None else config.num_classes

    @property
    def _timm(self) -> ModuleType:
        return require("timm", extra="timm")
