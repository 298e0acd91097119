"""Networks by name: the zoo, timm, or any callable of the user's."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, cast

from torch import nn

from sartor.errors import UsageError
from sartor.machine import require
from sartor.models import _zoo
from sartor.models._weights import load_weights
from sartor.registry import import_object

_TIMM = "timm:"


def build(name: str, *, classes: int | None = None, pixels: int | None = None) -> nn.Module:
    """A network with fresh weights.

    ``name`` is one of the zoo, ``timm:NAME``, or ``package.module:callable``, which is called
    without arguments. ``classes`` and ``pixels`` (the side of a square image) are for the first
    two, as far as they take them.

    Raises `UsageError` for a name that is none of these.

    >>> build("resnet20", classes=100).linear.out_features
    100
    """
    if name.startswith(_TIMM):
        timm = require("timm", extra="timm")
        model = name.removeprefix(_TIMM)

        def create() -> Any:
            return timm.create_model(model, num_classes=classes, pretrained=False)

        return _call(name, create)

    if ":" in name:
        make = import_object(name, "model")
        return _call(name, cast("Callable[[], Any]", make))

    return _zoo.build(name, classes=classes, pixels=pixels)


def build_trained(
    name: str, weights: Path | None, *, classes: int, pixels: int, missing: str
) -> nn.Module:
    """A network of `build` with weights from a file; one of the user's own may bring them itself.

    Raises what `build` and `load_weights` raise, and `UsageError`, with the sentence ``missing``,
    for a network of the zoo or of timm without a file.
    """
    model = build(name, classes=classes, pixels=pixels)
    is_users_own = ":" in name and not name.startswith(_TIMM)

    if weights is not None:
        load_weights(model, weights)
    elif not is_users_own:
        raise UsageError(missing)

    return model


def input_channels(model: nn.Module) -> int | None:
    """Channels that the first convolution of a network reads; None where there is none.

    >>> input_channels(build("resnet20"))
    3
    """
    for module in model.modules():
        if isinstance(module, (nn.Conv1d, nn.Conv2d, nn.Conv3d)):
            return module.in_channels
    return None


def _call(name: str, make: Callable[[], Any]) -> nn.Module:
    try:
        model = make()
    except Exception as error:  # somebody else's code may raise anything
        raise UsageError(f"model {name!r} cannot be built: {error}") from error

    if not isinstance(model, nn.Module):
        raise UsageError(
            f"model {name!r} gives a {type(model).__name__}; it must give a torch.nn.Module"
        )
    return model
