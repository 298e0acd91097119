"""Networks by name: the zoo, libraries, or any callable of the user's."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any, cast

from torch import nn

from sartor.errors import UsageError
from sartor.models import _zoo
from sartor.models.libraries import LIBRARIES, library_of
from sartor.models.weights import load_weights
from sartor.registry import did_you_mean, import_object


def build(
    name: str, *, classes: int | None = None, pixels: int | None = None, pretrained: bool = False
) -> nn.Module:
    """A network with fresh weights, or with those that a library has for it.

    ``name`` is one of the zoo, ``timm:NAME``, ``torchvision:NAME``, or ``package.module:callable``,
    which is called without arguments. ``classes`` and ``pixels`` (the side of a square image) are
    for those that take them. Only with ``pretrained`` is anything fetched; such networks have the
    classes that they were trained on.

    Raises `UsageError` for a name that is none of these, and where there is nothing to fetch.

    >>> build("resnet20", classes=100).linear.out_features
    100
    """
    library = library_of(name)
    if library is not None:
        model = library.build(name, classes=classes, pretrained=pretrained)
        return _require_module(name, model)

    if pretrained:
        families = " and ".join(f"{family}:NAME" for family in LIBRARIES)
        raise UsageError(
            f"model {name!r} has no pretrained weights to fetch: only {families} have; "
            "give a file with --weights"
        )
    if ":" in name:
        return _call(name, _import(name))
    return _zoo.build(name, classes=classes, pixels=pixels)


def build_trained(
    name: str,
    weights: Path | None,
    *,
    classes: int,
    pixels: int,
    missing: str,
    pretrained: bool = False,
) -> nn.Module:
    """A network of `build` with weights from a file; one of the user's own may bring them itself.

    Raises what `build` and `load_weights` raise, and `UsageError`, with the sentence ``missing``,
    for a network of the zoo or of a library without weights, and for both kinds of them.
    """
    if pretrained and weights is not None:
        raise UsageError(
            f"weights are {str(weights)!r} and those of {name} are to be fetched; choose one"
        )
    model = build(name, classes=classes, pixels=pixels, pretrained=pretrained)
    is_users_own = ":" in name and library_of(name) is None

    if weights is not None:
        load_weights(model, weights)
    elif not is_users_own and not pretrained:
        raise UsageError(missing)

    return model


def pretrained_classes(name: str) -> int | None:
    """Classes of a network's pretrained weights; None where that is not known.

    >>> pretrained_classes("resnet20") is None
    True
    """
    library = library_of(name)
    _, _, bare = name.partition(":")
    return None if library is None else library.classes(bare)


def input_channels(model: nn.Module) -> int | None:
    """Channels that the first convolution of a network reads; None where there is none.

    >>> input_channels(build("resnet20"))
    3
    """
    for module in model.modules():
        if isinstance(module, (nn.Conv1d, nn.Conv2d, nn.Conv3d)):
            return module.in_channels
    return None


def _import(name: str) -> Callable[[], Any]:
    """The user's own callable. Raises `UsageError` that says where it was looked for."""
    try:
        return cast("Callable[[], Any]", import_object(name, "model"))
    except UsageError as error:
        cause = error.__cause__
        module, _, _ = name.partition(":")
        root, _, _ = module.partition(".")
        is_missing = isinstance(cause, ModuleNotFoundError) and cause.name in (module, root)
        if not is_missing:
            raise
        meant = did_you_mean(root, LIBRARIES)
        raise UsageError(
            f"model {name!r} cannot be imported: there is no module {module!r}; {meant}it was "
            f"looked for among the installed packages and, by the command line, in {os.getcwd()}; "
            f"go to the folder of {root}.py, or name it in PYTHONPATH"
        ) from error


def _call(name: str, make: Callable[[], Any]) -> nn.Module:
    try:
        model = make()
    except Exception as error:  # somebody else's code may raise anything
        raise UsageError(f"model {name!r} cannot be built: {error}") from error
    return _require_module(name, model)


def _require_module(name: str, model: object) -> nn.Module:
    if not isinstance(model, nn.Module):
        raise UsageError(
            f"model {name!r} gives a {type(model).__name__}; it must give a torch.nn.Module"
        )
    return model
